"""Colours, markers and dashes: a submission is told by colour and marker, a framework by dash."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from scoring.ground.words import is_reference
from scoring.report.markup import Markup, element

# The hues of Okabe and Ito 2008, "Color Universal Design", at shades that stand out from the paper
# by 3:1 (WCAG 2.2), and from each other by 13 CIEDE2000 for eyes without red, green or blue cones
# (Machado et al. 2009). tests/scoring/test_palette.py holds them to it.
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2025",
    "soft": "#5d6670",
    "grid": "#e4e7ea",
    "series": ("#14325c", "#ef6b4e", "#006650", "#b507a9", "#502700", "#0099f6", "#746601"),
    "reference": "#6b7480",
}
DARK = {
    "paper": "#14171b",
    "ink": "#e8eaed",
    "soft": "#9aa4ae",
    "grid": "#2a3037",
    "series": ("#0074bc", "#dc3522", "#71b17f", "#9d627b", "#e78e1e", "#18d1ff", "#e5e831"),
    "reference": "#98a2ad",
}
# Six markers and seven colours: 42 submissions before two look the same. All is relative, so that
# a path of many is each one's place and then its marker.
MARKERS = (
    "m-4.2,0a4.2,4.2 0 1,0 8.4,0a4.2,4.2 0 1,0 -8.4,0z",
    "m-3.8,-3.8h7.6v7.6h-7.6z",
    "m0,-5l4.8,8.6h-9.6z",
    "m0,-5.4l4.6,5.4l-4.6,5.4l-4.6,-5.4z",
    "m0,5l4.8,-8.6h-9.6z",
    "m-1.6,-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
)
# Along a range: blue, green, gold, orange, red, in the same two forms.
_RAMPS = {
    "light": ("#0072b2", "#009e73", "#c48600", "#d55e00", "#a3235f"),
    "dark": ("#4a9fdc", "#1fbf92", "#f0b429", "#f0803c", "#e6739f"),
}
_STRUCTURE = """
svg.plot text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; font-variant-numeric: tabular-nums; }
.line { fill: none; stroke: currentColor; stroke-linejoin: round; stroke-linecap: round; }
.line.jax, .whisker.jax { stroke-dasharray: 6 4; }
.mark { fill: currentColor; stroke-width: 1; }
.fill { fill: currentColor; }
.bar { fill: currentColor; fill-opacity: .3; }
.whisker { stroke: currentColor; stroke-width: 1.6; }
.grid { stroke-width: 1; }
.axis, .target { stroke-width: 1; }
.target { stroke-dasharray: 2 3; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
svg.plot .strong { font-weight: 600; }
"""


@dataclasses.dataclass(frozen=True)
class Style:
    """How one submission looks everywhere: `series` counts submissions in alphabetical order."""

    series: int
    colour: str
    marker: str


def styles(submissions: Iterable[str]) -> Mapping[str, Style]:
    """A style for each submission; references are grey and take no colour from the others."""
    names = sorted(set(submissions))
    racing = [name for name in names if not is_reference(name)]
    chosen = {}
    for series, name in enumerate(names):
        place = racing.index(name) if name in racing else 0
        colour = f"c{place % len(LIGHT['series'])}" if name in racing else "cr"
        chosen[name] = Style(series, colour, MARKERS[place % len(MARKERS)])
    return chosen


def ramp(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name in order, its colour the one at its place along a range."""
    return {
        name: Style(place, f"v{place}", MARKERS[place % len(MARKERS)])
        for place, name in enumerate(names)
    }


def ramp_sheet(count: int, dark_scope: str) -> str:
    """The colours of a ramp of so many, light with a dark form."""
    light, dark = (
        [
            f".v{place} {{ color: {_along(stops, place / max(1, count - 1))}; }}"
            for place in range(count)
        ]
        for stops in _RAMPS.values()
    )
    darker = "".join(f"{dark_scope} {rule}\n" for rule in dark)
    return "\n".join(light) + f"\n@media screen and (prefers-color-scheme: dark) {{\n{darker}}}\n"


def _along(stops: Sequence[str], share: float) -> str:
    """The colour at a share of the way along stops that are equally far apart."""
    place = min(int(share * (len(stops) - 1)), len(stops) - 2)
    part = share * (len(stops) - 1) - place
    ends = [[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops[place : place + 2]]
    mixed = (round(low + part * (high - low)) for low, high in zip(*ends, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def swatch(style: Style, frameworks: Iterable[str]) -> Markup:
    """A short piece of the submission's line with its marker, one line a framework."""
    kinds = sorted(set(frameworks), reverse=True)
    gap = 5 if len(kinds) > 1 else 0
    lines = [
        element(
            "path",
            d=f"M1,{8 - gap / 2 + gap * place}h28",
            class_=f"line {kind}",
            stroke_width=1.8,
        )
        for place, kind in enumerate(kinds)
    ]
    mark = element("path", d=style.marker, class_="mark", transform="translate(15,8)")
    return element(
        "svg",
        *lines,
        mark,
        class_=f"swatch {style.colour}",
        viewBox="0 0 30 16",
        width=30,
        height=16,
        aria_hidden="true",
    )


def sheet(dark_scope: str = "") -> Markup:
    """The style sheet of all plots, light and dark; `dark_scope` stands before each dark rule."""
    dark = _colours(DARK, dark_scope)
    return Markup(
        f"{_STRUCTURE}{_colours(LIGHT)}"
        f"@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"
    )


def _colours(palette: Mapping[str, Sequence[str]], scope: str = "") -> str:
    rules = [f".c{index} {{ color: {hue}; }}" for index, hue in enumerate(palette["series"])]
    rules += [
        f".cr {{ color: {palette['reference']}; }}",
        f".ink {{ fill: {palette['ink']}; }}",
        f".soft {{ fill: {palette['soft']}; }}",
        f".grid {{ stroke: {palette['grid']}; }}",
        f".axis, .target {{ stroke: {palette['soft']}; }}",
        f".mark {{ stroke: {palette['paper']}; }}",
        f".paper {{ fill: {palette['paper']}; stroke: {palette['grid']}; }}",
    ]
    lead = f"{scope} " if scope else ""
    return "".join(f"{lead}{rule.replace(', .', f', {lead}.')}\n" for rule in rules)
