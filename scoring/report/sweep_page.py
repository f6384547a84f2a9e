"""The page about a sweep: the final metric over a hyperparameter, the sensitivity, every trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scoring.columns import values
from scoring.ground.files import write_whole
from scoring.ground.words import Clock, Target
from scoring.records import Record, read_run
from scoring.report import shell
from scoring.report.axes import short
from scoring.report.curves import curve_plot
from scoring.report.markup import Markup, element, join
from scoring.report.page_tables import scrolled, trials_table
from scoring.report.palette import ramp, ramp_sheet, styles, swatch
from scoring.report.plots import Styles, picture
from scoring.report.shell import figure
from scoring.report.sweeps import sensitivity_drawing, sweep_drawing
from scoring.sensitivity import DIGITS, Sweep
from scoring.sweep_log import SweepLog, read_sweep
from scoring.times import readable_clocks

_HOW = (
    "Every value was trained to the end, without a target. Sensitivity is the mean distance of the "
    "final metric from the best over the range; training that diverges, or ends worse than it "
    "began, counts as no training (Wortsman et al. 2023). 0 means that every value does as well as "
    "the best, or that none trains."
)

_STYLE = """
tfoot tr:first-child > * { border-top: 1px solid var(--rule); }
tfoot tr:last-child > * { border-bottom: 0; }
"""


def write_sweep_page(folder: Path, output: Path) -> None:
    """Write the page about the sweep in `folder` to `output`, whole or not at all.

    Raises:
        RecordError: the sweep is not finished, or its log or a record cannot be read.
        OSError: `output` cannot be written.
    """
    write_whole(output, render(read_sweep(folder), read_run(folder), folder.name))


def render(log: SweepLog, records: Sequence[Record], name: str) -> str:
    """The page as text, from the log of a sweep called `name` and all of its records."""
    grid = log.sweeps[0].grid
    names = [_called(log.parameter, value) for value in grid]
    looks = ramp(names)
    told = _as_told(records, log, dict(zip(grid, names, strict=True)))
    clocks = readable_clocks(told)
    sections, plots = _curves(log.sweeps, told, looks)
    trials = join(shell.filter_menus(told, looks), trials_table(told, looks))
    main = join(
        _section("Final metric", "sweep", element("p", _HOW, class_="how"), _pictures(log)),
        *sections,
        _section("Trials", "trials", trials),
        element("div", id="versus", hidden=True),
    )
    bars = {
        "facts": _facts(log, told),
        "legend": shell.legend_bar(told, looks),
        "clocks": shell.clock_choice("steps", clocks),
    }
    data = {"clock": "steps", "clocks": shell.clock_words(clocks), "plots": plots}
    lead = f"{log.submission} over {log.parameter}, {len(told):,} trials"
    style = ramp_sheet(len(grid), shell.DARK_SCOPE) + _STYLE
    return shell.frame(name, lead, bars, main, data, style)


def _called(parameter: str, value: float) -> str:
    return f"{parameter} {short(value, DIGITS)}"


def _as_told(records: Sequence[Record], log: SweepLog, names: Mapping[float, str]) -> list[Record]:
    """The trials of the sweep's values under the names of these, in place of the submission's."""
    judged = {sweep.workload: Target(sweep.metric, sweep.goal, None) for sweep in log.sweeps}
    told = []
    for record in records:
        head = record.header
        value = head.hyperparameters.get(log.parameter)
        if head.workload in judged and isinstance(value, int | float) and value in names:
            own = dataclasses.replace(head, submission=names[value], target=judged[head.workload])
            told.append(dataclasses.replace(record, header=own))
    return told


def _section(title: str, word: str, *children: object) -> Markup:
    head = element("h2", title, id=f"{word}-heading")
    return element("section", head, *children, aria_labelledby=f"{word}-heading")


def _pictures(log: SweepLog) -> Markup:
    drawing, told = sweep_drawing(log.sweeps, log.parameter, log=log.log)
    title = f"Final metric over {log.parameter}"
    caption = (
        "Mean and range over seeds; what ends worse than before training (dashed), or diverges "
        "(✕), is held there"
    )
    figures = [figure(picture("sweep", title, told, drawing), "sweep", caption, "sweep")]
    if log.has_sizes:
        drawing, told = sensitivity_drawing(log.sweeps, log.parameter)
        title = f"Sensitivity to {log.parameter} over size"
        caption = "Sensitivity against the number of weights; small marks: single seeds"
        plot = picture("sensitivity", title, told, drawing)
        figures.append(figure(plot, "sensitivity", caption, "sensitivity"))
    figures.append(_table(log))
    return join(_workload_legend(log), element("div", *figures, class_="pair-of-plots"))


def _workload_legend(log: SweepLog) -> Markup:
    looks = styles(sweep.workload for sweep in log.sweeps)
    items = [
        element("li", swatch(looks[one.workload], ["torch"]), f" {one.workload}")
        for one in log.sweeps
    ]
    return element("ul", *items, class_="legend workloads", aria_label="Workloads")


def _table(log: SweepLog) -> Markup:
    """The final metric of every value on every workload."""
    first = log.sweeps[0]
    names = [sweep.workload for sweep in log.sweeps]
    rows = [
        element(
            "tr",
            element("th", short(value, DIGITS), scope="row", class_="number", data_v=value),
            *(_final(sweep, place) for sweep in log.sweeps),
            data_s=place,
        )
        for place, value in enumerate(first.grid)
    ]
    beneath = {
        "before": [short(sum(one.initial) / len(one.initial), 4) for one in log.sweeps],
        "weights": [f"{one.size:,}" for one in log.sweeps],
        "sensitivity": [short(one.sensitivity, 3) for one in log.sweeps],
    }
    foot = [
        element(
            "tr",
            element("th", word, scope="row", class_="number soft"),
            *(element("td", text, class_="number soft") for text in texts),
        )
        for word, texts in beneath.items()
    ]
    head = [element("th", word, scope="col", class_="number") for word in (log.parameter, *names)]
    table = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        element("tfoot", *foot),
        class_="board",
    )
    better = "lower" if first.goal == "min" else "higher"
    caption = (
        f"Final {first.metric} ({better} is better), mean over seeds, none counted worse than "
        "before training; bold: best"
    )
    return element(
        "figure", element("figcaption", element("span", caption)), scrolled(caption, table)
    )


def _final(sweep: Sweep, place: int) -> Markup:
    text = short(sweep.curve[place], 4)
    diverged = sweep.diverged(place)
    return element(
        "td",
        element("strong", text) if place == sweep.best else text,
        element("small", f"{diverged} diverged", class_="missed") if diverged else None,
        class_="number",
        data_v=sweep.curve[place],
    )


def _curves(
    sweeps: Sequence[Sweep], records: Sequence[Record], looks: Styles
) -> tuple[list[Markup], dict[str, dict[str, object]]]:
    clock: Clock = "steps"
    figures, plots = [], {}
    for place, sweep in enumerate(sweeps):
        own = [record for record in records if record.header.workload == sweep.workload]
        judged = (values(one.evaluations, sweep.metric) for one in own if one.evaluations)
        if not any(np.isfinite(series).sum() > 1 for series in judged):
            continue  # a point is no curve
        plot = f"curves{place}"
        svg, plots[plot] = curve_plot(plot, sweep.workload, own, clock, looks)
        figures.append(figure(svg, plot, sweep.workload, f"{sweep.workload}-curves"))
    if not figures:
        return [], plots
    grid = element("div", *figures, class_="pair-of-plots")
    return [_section("Learning curves", "curves", grid)], plots


def _facts(log: SweepLog, records: Sequence[Record]) -> Markup:
    seeds = len(log.sweeps[0].finals)
    fixed = ", ".join(f"{name} {value}" for name, value in log.fixed.items())
    steps = sorted({record.header.budget.steps for record in records})
    facts = [
        ("Submission", log.submission),
        ("Other hyperparameters", fixed),
        ("Seeds per value", str(seeds)),
        ("Steps per trial", ", ".join(f"{count:,}" for count in steps)),
        ("Core-hours", short(log.core_hours, 2)),
    ]
    return shell.fact_list([*facts, *shell.machine_facts(records)])
