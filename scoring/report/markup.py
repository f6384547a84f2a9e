"""HTML and SVG as nested calls: every piece of text is escaped unless it is markup already."""

from __future__ import annotations

import html
import json
import math
import re

_VOID = {"br", "input", "meta", "link"}
# Neither XML 1.0 nor UTF-8 can carry these; a hostile name could.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def escape(text: object) -> str:
    """Text that is safe between tags and within a quoted attribute, in HTML and in XML."""
    if isinstance(text, Markup):
        return text
    if type(text) is int or type(text) is float:
        return str(text)  # most of a page; nothing in it needs escaping
    return html.escape(_FORBIDDEN.sub("\ufffd", str(text)), quote=True)


def element(name: str, /, *children: object, **attributes: Attribute) -> Markup:
    """`element("a", "x < y", class_="k")` is `<a class="k">x &lt; y</a>`.

    Underscores in attribute names become hyphens, a trailing one is dropped; an attribute that is
    None or False is left out, and True stands empty, as `hidden` does.
    """
    attributes_text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{"" if value is True else escape(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{attributes_text}>")
    return Markup(f"<{name}{attributes_text}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """The children one after the other, each escaped unless it is markup; None is nothing."""
    return Markup("".join(escape(child) for child in children if child is not None))


def embedded_json(value: object) -> Markup:
    """Compact JSON that can stand within `<script>`: no `<`, ASCII only, NaN and infinity null."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
