"""The frame of every page: one self-contained file that asks the network for nothing.

It stands whole without its script, which adds tooltips, a choice of clock, hiding, sorting and
saving.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import UNFINISHED
from scoring.ground.words import Clock
from scoring.records import Record
from scoring.report.curves import STYLE
from scoring.report.heatmap import shade_sheet
from scoring.report.hyperparameters import STYLE as DOTS
from scoring.report.markup import Markup, element, embedded_json, escape, join
from scoring.report.palette import sheet, swatch
from scoring.report.plots import Styles

DARK_SCOPE = ":root:not(.light)"


def frame(
    names: str,
    lead: str,
    bars: Mapping[str, Markup],
    main: Markup,
    data: Mapping[str, object],
    more_style: str = "",
) -> str:
    """A page as text.

    Args:
        names: what it is about: the heading, and part of the title.
        lead: the line beneath.
        bars: `facts`, and the `legend` and `clocks` that stay in sight.
        main: all sections.
        data: what the script needs, but for the clocks' words.
        more_style: beyond the sheet of all pages.
    """
    script = resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = sheet(DARK_SCOPE) + STYLE + DOTS + shade_sheet() + more_style
    return string.Template(resource("page.html")).substitute(
        title=escape(f"{names} · Gradathlon"),
        heading=escape(names),
        lead=escape(lead),
        **bars,
        main=main,
        style=style + resource("page.css"),
        script=script,
        script_hash=f"sha256-{digest}",
        data=embedded_json(data),
    )


def clock_words(shown: Sequence[Clock]) -> list[tuple[str, str]]:
    """How the script tells a reading of each clock."""
    return [(name, CLOCKS[name].point) for name in shown]


def resource(name: str) -> str:
    """The text of a file beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def figure(svg: Markup, plot: str, caption: str, file: str, class_: str | None = None) -> Markup:
    """A plot under its caption, with a button that saves it as `file`.svg."""
    save = element(
        "button",
        "save as SVG",
        type="button",
        class_="save",
        title=f"{file}.svg",
        data_plot=plot,
        data_file=f"{file}.svg",
    )
    caption_line = element("figcaption", element("span", caption), save)
    return element("figure", caption_line, svg, class_=class_)


def fact_list(facts: Iterable[tuple[str, str]]) -> Markup:
    """Names and texts, those without a text left out."""
    items = [
        element(
            "div",
            element("dt", name),
            element("dd", text),
            class_="wide" if len(text) > 40 else None,
        )
        for name, text in facts
        if text
    ]
    return element("dl", *items, class_="facts")


def machine_facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """On what the trials ran, the most frequent first."""
    # Which of the machine's cores a trial held is no other hardware.
    hardware = _variants(
        {name: value for name, value in record.header.hardware.items() if name != "pinned"}
        for record in records
    )
    versions = _variants(record.header.versions for record in records)
    facts = []
    for title, variants in (("Hardware", hardware), ("Versions", versions)):
        for text, count in variants:
            share = f" ({count} trial{'s' * (count > 1)})" if len(variants) > 1 else ""
            facts.append((title + share, text))
    return facts


def _variants(mappings: Iterable[Mapping[str, object]]) -> list[tuple[str, int]]:
    """The different mappings as text, the most frequent first."""
    texts = Counter(
        " · ".join(f"{key} {_fact(value)}" for key, value in mapping.items() if value)
        for mapping in mappings
    )
    return texts.most_common()


def _fact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def legend_bar(records: Sequence[Record], looks: Styles) -> Markup:
    """The names that the looks belong to; a script makes buttons of them."""
    frameworks: dict[str, set[str]] = {name: set() for name in looks}
    for record in records:
        frameworks[record.header.submission].add(record.header.framework)
    buttons = [
        element(
            "button",
            swatch(look, frameworks[name]),
            name,
            type="button",
            aria_pressed="true",
            disabled=True,
            data_s=look.series,
        )
        for name, look in looks.items()
    ]
    items = [element("li", button) for button in buttons]
    legend = element("ul", *items, class_="legend", aria_label="Submissions")
    return join(legend, element("span", "torch solid, jax dashed", class_="dashes"))


def clock_choice(chosen: Clock, shown: Sequence[Clock]) -> Markup:
    """Against which clock curves are drawn."""
    choices = [
        element(
            "label",
            element("input", type="radio", name="clock", value=clock, checked=clock == chosen),
            clock,
        )
        for clock in shown
    ]
    return element("fieldset", element("legend", "plot against"), *choices, class_="clocks")


def filter_menus(records: Sequence[Record], looks: Styles) -> Markup:
    """Menus that narrow the table of trials."""
    heads = [record.header for record in records]
    ends = {one.outcome.end if one.outcome else UNFINISHED for one in records}
    menus: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("workload", "w", [(name, name) for name in sorted({head.workload for head in heads})]),
        ("submission", "s", [(str(look.series), name) for name, look in looks.items()]),
        ("end", "e", [(end, end) for end in sorted(ends)]),
    ]
    labels = [
        element(
            "label",
            word,
            element(
                "select",
                element("option", "all", value=""),
                *(element("option", text, value=value) for value, text in choices),
                name=name,
                autocomplete="off",
            ),
        )
        for word, name, choices in menus
    ]
    return element("div", *labels, element("output"), class_="filters")
