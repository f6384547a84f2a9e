"""The page's tables: the board with its score bars, and every trial with how it ended."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from scoring.board import Board, Cell, Row
from scoring.equal_budget import EqualBudget
from scoring.ground.ends import UNFINISHED, colour_of, sign_of
from scoring.records import Record, attempt_of, run_of
from scoring.report.axes import MISSING, Scale, short, ticks
from scoring.report.heatmap import ratio_text, shade
from scoring.report.markup import Markup, element, join
from scoring.report.names import run_names
from scoring.report.palette import Style, swatch
from scoring.report.plots import Styles, score_bar, score_range
from scoring.report.tables import (
    bare_time_text,
    chance_text,
    interval_text,
    known_time,
    rank_text,
    spread_text,
    tells_chances,
    time_text,
)
from scoring.times import ended_at, time_to_result

BAR = 160
TALL = 24
"""A board of more rows scrolls within itself."""
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def board_table(board: Board, looks: Styles) -> Markup:
    """The leaderboard, best first: score with its interval, and the time on every workload."""
    scale = Scale(0.0, score_range(board), 6.0, BAR - 6.0)
    columns = {name: _column(board, name) for name in board.workloads}
    head = element(
        "tr",
        _head("rank", class_="number"),
        _head("submission", class_="stuck"),
        _head("framework"),
        _head("score", class_="number"),
        element("th", "95 % interval", _bar_axis(scale), scope="col", class_="bars"),
        _head("P(best)", class_="number") if tells_chances(board) else None,
        *(_head(_folded(name), class_="number") for name in board.workloads),
    )
    rows = [_board_row(row, board, looks, scale, columns) for row in board.rows]
    table = element(
        "table",
        element("caption", "Leaderboard", class_="hearing"),
        element("thead", head),
        element("tbody", *rows),
        class_="board",
    )
    return scrolled("Leaderboard", table, tall=len(board.rows) > TALL)


def scrolled(label: str, *children: Markup, tall: bool = False) -> Markup:
    """What scrolls within itself where it is wider than the page, or `tall`; by keys, too."""
    return element(
        "div",
        *children,
        class_="scroll tall" if tall else "scroll",
        role="region",
        aria_label=label,
        tabindex=0,
    )


def named(sample: Markup, name: str) -> Markup:
    """A submission's name, whose end may be cut off, behind a sample of how it looks."""
    return element("span", sample, element("span", name, title=name), class_="name")


def chip(look: Style) -> Markup:
    """A small square of a submission's colour."""
    return element("i", class_=f"chip {look.colour}")


def equal_budget_table(race: EqualBudget, looks: Styles) -> Markup:
    """The submissions on a workload without a target, best metric first."""
    head = element(
        "tr",
        _head("submission", class_="stuck"),
        _head("framework"),
        _head(f"{race.metric}, best within the budget", class_="number"),
        _head("studies", class_="number"),
    )
    rows = [
        element(
            "tr",
            element(
                "th",
                named(swatch(looks[one.submission], [one.framework]), one.submission),
                scope="row",
                class_="stuck",
            ),
            element("td", one.framework),
            _number(short(one.value, 4), one.value),
            element("td", spread_text(one), class_="number"),
            class_="reference" if one.is_reference else None,
            data_s=looks[one.submission].series,
        )
        for one in race.standings
    ]
    caption = f"{race.workload}: at equal budget"
    table = element("table", element("thead", head), element("tbody", *rows), class_="board")
    return scrolled(caption, element("h3", caption), table)


@dataclasses.dataclass(frozen=True)
class _Column:
    """A workload on the board: the best ratio, and whether all times are known to sort it by."""

    best: float
    has_times: bool


def _column(board: Board, workload: str) -> _Column:
    ratios = (row.cells[workload].ratio for row in board.rows if not row.is_reference)
    has_times = all(known_time(row.cells[workload]) for row in board.rows)
    return _Column(min(ratios, default=0.0), has_times)


def _board_row(
    row: Row, board: Board, looks: Styles, scale: Scale, columns: Mapping[str, _Column]
) -> Markup:
    look = looks[row.submission]
    cells = [
        _time_cell(row.cells[name], board, column, may_be_best=not row.is_reference)
        for name, column in columns.items()
    ]
    return element(
        "tr",
        element("td", rank_text(row), class_="number rank", data_v=row.rank_low),
        element(
            "th",
            element(
                "button",
                swatch(look, [row.framework]),
                element("span", row.submission),
                type="button",
                class_="name pick",
                title=f"{row.submission}: click two submissions to compare them",
                aria_label=f"compare {row.submission}",
                aria_pressed="false",
                disabled=True,
            ),
            scope="row",
            class_="stuck",
            data_v=row.submission,
        ),
        element("td", row.framework, class_="soft"),
        element("td", f"{row.score:.3f}", class_="number score"),
        element(
            "td",
            _bar(row, look.colour, scale),
            element("span", interval_text(row), class_="range"),
            class_="bars",
            data_v=f"{row.interval[0]:.6g}" if row.interval else "nan",
        ),
        _chance(row) if tells_chances(board) else None,
        *cells,
        class_="reference" if row.is_reference else None,
        data_s=look.series,
    )


def _chance(row: Row) -> Markup:
    value = "nan" if row.p_best is None else f"{row.p_best:.6g}"
    return element("td", chance_text(row), class_="number", data_v=value)


def _bar(row: Row, colour: str, scale: Scale) -> Markup:
    return element(
        "svg",
        element("title", f"score {row.score:.3f}, 95 % interval {interval_text(row) or 'unknown'}"),
        *(element("path", d=f"M{scale(mark)},0V24", class_="grid") for mark in _bar_ticks(scale)),
        score_bar(row, scale, 12),
        viewBox=f"0 0 {BAR} 24",
        width=BAR,
        height=24,
        class_=f"plot {colour}",
        role="img",
    )


def _time_cell(cell: Cell, board: Board, column: _Column, *, may_be_best: bool) -> Markup:
    if not cell.trials:
        return element("td", element("span", "not run", class_="soft"), class_="number")
    if math.isinf(cell.time):
        return element(
            "td",
            element("span", "missed", class_="missed"),
            _small(_reached(cell)),
            class_=f"number shade-{shade(math.inf)}",
            data_v="inf",
        )
    ratio = ratio_text(cell)
    if not known_time(cell):
        text, below = ratio, _reached(cell)
    else:
        text, below = bare_time_text(cell.time, board.clock), f"{ratio} · {_reached(cell)}"
    return element(
        "td",
        element("strong", text) if may_be_best and cell.ratio == column.best else text,
        _small(below),
        class_=f"number {shade(cell.ratio)}",
        data_v=f"{cell.time if column.has_times else cell.ratio:.9g}",
    )


def _reached(cell: Cell) -> str:
    return f"{cell.reached}/{cell.trials}"


def _bar_ticks(scale: Scale) -> list[float]:
    return ticks(0.0, scale.high, 3)


def _bar_axis(scale: Scale) -> Markup:
    marks = [
        element("text", short(mark), x=scale(mark), y=11, class_="soft middle")
        for mark in _bar_ticks(scale)
    ]
    return element(
        "svg",
        *marks,
        viewBox=f"0 0 {BAR} 14",
        width=BAR,
        height=14,
        class_="plot",
        aria_hidden="true",
    )


def trials_table(records: Sequence[Record], looks: Styles) -> Markup:
    """Every trial, one line each; a script can sort it by any column."""
    runs = run_names(records)
    columns = (
        *(["run"] if runs else []),
        *("workload", "submission", "framework", "study", "trial", "end", "time to result"),
        *("hyperparameters", "reason", "steps", "wall", "cpu", "step time", "seed"),
    )
    textual = {"run", "workload", "submission", "framework", "end", "hyperparameters", "reason"}
    head = [_head(name, class_=None if name in textual else "number") for name in columns]
    rows = [_trial_row(record, looks, runs.get(run_of(record.path))) for record in records]
    table = element(
        "table",
        element("caption", "Trials", class_="hearing"),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
        class_="trials",
    )
    return scrolled("Trials", table, tall=True)


def _trial_row(record: Record, looks: Styles, run: str | None) -> Markup:
    head, outcome = record.header, record.outcome
    look = looks[head.submission]
    end = outcome.end if outcome else UNFINISHED
    extra = outcome.extra if outcome else {}
    spent = ended_at(record)
    result = time_to_result(head, record.evaluations).on(head.clock)
    median = _float(extra.get("step_s_median"))
    return element(
        "tr",
        element("td", run) if run else None,
        element("td", head.workload),
        element("th", named(chip(look), head.submission), scope="row", data_v=head.submission),
        element("td", head.framework, class_="soft"),
        *(element("td", n, class_="number") for n in (head.study, head.trial)),
        _end_cell(end),
        _number(time_text(result, head.clock), result),
        element("td", _hyperparameters(head.hyperparameters), class_="code"),
        element("td", _reason(record), class_="reason"),
        _number(f"{spent.on('steps'):,.0f}", spent.on("steps")),
        _number(time_text(spent.on("wall"), "wall"), spent.on("wall")),
        _number(time_text(spent.on("cpu"), "cpu"), spent.on("cpu")),
        _number(_step_time(extra), median),
        element("td", head.seed, class_="number"),
        data_s=look.series,
        data_w=head.workload,
        data_e=end,
    )


def _end_cell(end: str) -> Markup:
    sign = element("span", sign_of(end), aria_hidden="true")
    return element("td", sign, f" {end}", class_=f"end-{colour_of(end)}", data_v=end)


def _step_time(extra: Mapping[str, object]) -> Markup:
    median = _float(extra.get("step_s_median"))
    if not math.isfinite(median):
        return join(MISSING)
    size, unit = next((u for u in _UNITS if median >= u[0]), _UNITS[-1])
    low, high = (_float(extra.get(f"step_s_{name}")) / size for name in ("p10", "p90"))
    spread = _small(f"{short(low)}–{short(high)}")
    return join(f"{short(median / size)} {unit}", spread)


def _hyperparameters(point: Mapping[str, object]) -> Markup:
    if not point:
        return element("span", "defaults", class_="soft")
    parts = []
    for name, value in point.items():
        shown = short(value, 4) if isinstance(value, float) else str(value)
        parts.append(element("span", f"{name} ", element("b", shown), class_="pair"))
    return join(*(join(" ", part) if place else part for place, part in enumerate(parts)))


def _reason(record: Record) -> Markup:
    if record.outcome is None:
        return element("span", "no outcome recorded", class_="soft")
    trace = record.outcome.extra.get("traceback")
    return join(
        record.outcome.reason,
        _witnessed(record),
        element("details", element("summary", "traceback"), element("pre", trace))
        if trace
        else None,
    )


def _witnessed(record: Record) -> Markup | None:
    """What a second process saw of the trial, where there was one and it is worth telling."""
    extra = record.outcome.extra if record.outcome else {}
    attempts, off_clock = attempt_of(record.path) + 1, _float(extra.get("off_clock_share"))
    remarks = [f"{attempts} attempts"] if attempts > 1 else []
    remarks += [f"{100 * off_clock:.0f} % off the clock"] if math.isfinite(off_clock) else []
    remarks += [f"doubt: {extra['doubt']}"] if extra.get("doubt") else []
    audit = extra.get("audit")
    remarks += map(str, audit) if isinstance(audit, list) else []
    return _small(" · ".join(remarks)) if remarks else None


def _folded(workload: str) -> Markup:
    """Ids are long: the family above the scale and version, and neither broken again."""
    family, dash, rest = workload.partition("-")
    return join(element("span", family + dash), element("span", rest))


def _head(name: str, class_: str | None = None) -> Markup:
    return element("th", name, scope="col", class_=class_)


def _small(text: str) -> Markup:
    return element("small", text)


def _number(text: str, value: float) -> Markup:
    return element("td", text, class_="number", data_v=f"{value:.9g}")


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
