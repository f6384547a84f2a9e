"""Pictures as PNG, for where SVG is not taken: through resvg, an optional extra."""

from __future__ import annotations

from scoring.ground.documents import ConfigError

ZOOM = 2
"""Pixels for each of the picture's units."""
FONTS = ("DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "Segoe UI")
_PROBE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    '<text y="9" font-family="sans-serif">{}</text></svg>'
)


def png(svg: str) -> bytes:
    """The picture in its light form.

    Raises:
        ConfigError: resvg is not installed, or finds no font.
    """
    try:
        import resvg_py
    except ImportError:
        raise ConfigError(
            "PNG output needs resvg: pip install 'gradathlon[png]', or write an .svg"
        ) from None

    def drawn(text: str, font: str, zoom: int) -> bytes:
        return bytes(resvg_py.svg_to_bytes(svg_string=text, sans_serif_family=font, zoom=zoom))

    # resvg leaves text out, without a word, where it lacks the font.
    for font in FONTS:
        if drawn(_PROBE.format("x"), font, 1) != drawn(_PROBE.format(""), font, 1):
            return drawn(svg, font, ZOOM)
    raise ConfigError(f"PNG output needs a font ({' or '.join(FONTS)}); or write an .svg")
