"""The folded part of a workload's section: hyperparameters, and metrics that are not scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from scoring.columns import metrics_of, values
from scoring.ground.words import Clock
from scoring.records import Record
from scoring.report import crowds
from scoring.report.axes import short
from scoring.report.curves import side_plot
from scoring.report.hyperparameters import SHOWN, scatter_plot, tried
from scoring.report.markup import Markup, element
from scoring.report.page_tables import chip, named, scrolled
from scoring.report.palette import Style
from scoring.report.parts import STRIPS, parts_of, parts_plot
from scoring.report.plots import Styles

METRICS = 12
"""The most other metrics drawn per workload, validation's first."""


def folded_plots(
    place: int, workload: str, records: Sequence[Record], clock: Clock, looks: Styles
) -> Iterator[tuple[str, str, str, Markup]]:
    """Id, caption, file name and plot of each, for the section at `place`."""
    varied = tried(records, clock)
    for number, one in enumerate(varied[:SHOWN]):
        plot = f"point{place}-{number}"
        drawn = scatter_plot(plot, workload, one, clock, looks)
        caption = f"{one.result[0].upper()}{one.result[1:]} against {one.name}; one mark per trial"
        caption += _left_out(number, SHOWN, len(varied), "varied hyperparameters")
        yield plot, caption, f"{workload}-{one.name}", drawn
    fastest = crowds.fastest(records, clock)
    which = f"each submission's {crowds.word(fastest, clock)}"
    others = other_metrics(fastest)
    parts = parts_of(others)
    for number, (word, metrics) in enumerate(parts.items()):
        plot = f"parts{place}-{number}"
        drawn = parts_plot(plot, word, metrics, fastest, clock, looks)
        left_out = f", of the first {STRIPS} of {len(fastest)}" if len(fastest) > STRIPS else ""
        caption = f"{word[0].upper()}{word[1:]}: {which}{left_out}"
        yield plot, caption, f"{workload}-{word.replace(' ', '-')}", drawn
    drawn_already = {name for metrics in parts.values() for name in metrics}
    others = [name for name in others if name not in drawn_already]
    for number, metric in enumerate(others[:METRICS]):
        plot = f"side{place}-{number}"
        drawn = side_plot(plot, metric, fastest, clock, looks)
        caption = f"{metric}: {which}; not scored"
        caption += _left_out(number, METRICS, len(others), "metrics")
        yield plot, caption, f"{workload}-{metric.replace('/', '-')}", drawn


def _left_out(place: int, shown: int, all: int, what: str) -> str:
    """Behind the last caption of some, how many are not drawn."""
    return f". {all - shown} more {what}: gradathlon export" if place == shown - 1 < all - 1 else ""


def other_metrics(records: Sequence[Record]) -> list[str]:
    """The metrics that change as the records' trials go, but for the judged one."""
    names: set[str] = set()
    for record in records:
        target = record.header.target
        names |= set(metrics_of(record.evaluations)) - {target.metric if target else ""}
    changing = []
    for name in names:
        series = np.concatenate([values(record.evaluations, name) for record in records])
        finite = series[np.isfinite(series)]
        if finite.size and finite.min() < finite.max():
            changing.append(name)
    return sorted(changing, key=lambda name: (not name.startswith("validation/"), name))


def figure_at_end(records: Sequence[Record], clock: Clock, looks: Styles) -> Markup | None:
    """Each submission's best trial on test data at its end; not scored."""
    fastest = crowds.fastest(records, clock)
    found = [
        (record, {name: value for name, value in test.items() if isinstance(value, int | float)})
        for record in fastest
        if record.outcome and isinstance(test := record.outcome.extra.get("test"), dict)
    ]
    names = sorted({name for _, test in found for name in test})
    if not names:
        return None
    heads = ["submission", *(name.removeprefix("test/").replace("_", " ") for name in names)]
    head = [
        element("th", word, scope="col", class_="number" if place else None)
        for place, word in enumerate(heads)
    ]
    rows = [_row_at_end(looks[one.header.submission], one, test, names) for one, test in found]
    table = element("table", element("thead", element("tr", *head)), element("tbody", *rows))
    caption = (
        f"On test data: each submission's {crowds.word(fastest, clock)}, if it ended at an "
        "evaluation; not scored"
    )
    return element(
        "figure", element("figcaption", element("span", caption)), scrolled(caption, table)
    )


def _row_at_end(
    look: Style, record: Record, test: Mapping[str, float], names: Sequence[str]
) -> Markup:
    return element(
        "tr",
        element("th", named(chip(look), record.header.submission), scope="row"),
        *(element("td", short(test.get(word, math.nan), 4), class_="number") for word in names),
        data_s=look.series,
    )


def folded(title: str, figures: Sequence[Markup]) -> Markup | None:
    """Figures that are shown when their title is clicked."""
    if not figures:
        return None
    return element(
        "details",
        element("summary", title),
        element("div", *figures, class_="pair-of-plots"),
        class_="more",
    )
