"""The page about runs: board, profiles, learning curves and every trial; see `shell`."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoring import run_file
from scoring.board import Board, compute_from
from scoring.frame import gather
from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import ENDS
from scoring.ground.files import write_whole
from scoring.ground.words import REFERENCES, is_reference
from scoring.protocols import PROTOCOLS
from scoring.records import Record, run_of
from scoring.report import crowds, shell
from scoring.report.axes import short
from scoring.report.curves import CROWD, curve_plot, marks_told
from scoring.report.folded import figure_at_end, folded, folded_plots
from scoring.report.markup import Markup, element, escape, join
from scoring.report.page_tables import board_table, equal_budget_table, trials_table
from scoring.report.palette import styles
from scoring.report.plots import (
    MEDIAN_TOLD,
    Styles,
    profile_data,
    profile_plot,
    ratio_plot,
    study_plot,
    study_title,
)
from scoring.report.shell import figure
from scoring.report.tables import footnotes
from scoring.report.versus import versus_data
from scoring.times import readable_clocks

_YARDSTICK = {
    False: "the tuned reference of the same framework: NadamW unless the workload names another",
    True: "the faster tuned reference of the frameworks: NadamW unless the workload names another",
}


_NO_PROFILES = element("p", "No workload has a target, so there are no times to compare.")


def write_page(
    runs: Sequence[Path], output: Path, *, across_frameworks: bool = False, **options: Any
) -> None:
    """Write the page about all trials of `runs` to `output`, whole or not at all.

    Args:
        runs: run folders.
        output: the file; replaced if it exists.
        across_frameworks: compare to the fastest framework's reference, not to the own one's.
        options: all else that `scoring.board.compute_from` takes: protocol, clock and so on.

    Raises:
        RecordError: records that cannot be read, or cannot be compared.
        OSError: `output` cannot be written.
    """
    gathered = gather(runs)
    board = compute_from(gathered, across_frameworks=across_frameworks, **options)
    write_whole(output, render(board, gathered.records, across_frameworks=across_frameworks))


def render(board: Board, records: Sequence[Record], *, across_frameworks: bool = False) -> str:
    """The page as text, from a board and the records that it was computed from.

    `across_frameworks` only words what the scores are compared to.
    """
    raced = [record.header.submission for record in records]
    looks = styles([*raced, *(row.submission for row in board.rows)])
    sections, plots = _workloads(board, records, looks)
    names = " and ".join(dict.fromkeys(folder.name for folder in _folders(records)))
    shown = readable_clocks(records)
    parts = {
        "how": escape(_how(board, _YARDSTICK[across_frameworks])),
        "board": join(
            board_table(board, looks) if board.rows else None,
            *(equal_budget_table(race, looks) for race in board.at_equal_budget),
        ),
        "notes": _notes(board),
        "profiles": _profiles(board, looks) if board.rows else _NO_PROFILES,
        "workloads": join(*sections),
        "filters": shell.filter_menus(records, looks),
        "trials": _trials(board, records, looks),
    }
    data = {
        "clock": board.clock,
        "clocks": shell.clock_words(shown),
        "profile": profile_data(board),
        "versus": versus_data(board, looks),
        "plots": plots,
    }
    return shell.frame(
        names,
        _lead(board, records),
        {
            "facts": _facts(board, records),
            "legend": shell.legend_bar(records, looks),
            "clocks": shell.clock_choice(board.clock, shown),
        },
        Markup(string.Template(shell.resource("race.html")).substitute(parts)),
        data,
    )


def _how(board: Board, yardstick: str) -> str:
    """How to read the board."""
    if not board.rows:
        return "No workload has a target, so there are no scores; metrics are compared instead."
    return (
        f"{PROTOCOLS[board.protocol].reading.format(yardstick=yardstick)} Times are in "
        f"{CLOCKS[board.clock].title}; below each are the ratio that counts (×) and how many "
        "trials met the target (2/3: 2 of 3)."
    )


def _workloads(
    board: Board, records: Sequence[Record], looks: Styles
) -> tuple[list[Markup], dict[str, dict[str, object]]]:
    sections, plots = [], {}
    for place, workload in enumerate(sorted({record.header.workload for record in records})):
        own = [one for one in records if one.header.workload == workload and one.header.target]
        if not own:
            continue
        drawn = crowds.shown(own, board.clock, crowds.CURVES)
        plot = f"curves{place}"
        svg, plots[plot] = curve_plot(plot, workload, drawn, board.clock, looks)
        crowd = "crowd" if len(drawn) >= CROWD else None
        caption = f"Learning curves; {'; '.join(marks_told(own))}"
        figures = [figure(svg, plot, caption, f"{workload}-curves", crowd)]
        if workload in board.workloads:
            studies = study_plot(f"studies{place}", board, workload, looks)
            caption = f"{study_title(board, workload)}; {MEDIAN_TOLD}"
            figures.append(figure(studies, f"studies{place}", caption, f"{workload}-studies"))
        more = [
            figure(svg, plot, caption, file)
            for plot, caption, file, svg in folded_plots(place, workload, own, board.clock, looks)
        ]
        more += filter(None, [figure_at_end(own, board.clock, looks)])
        heading = f"workload{place}"
        sections.append(
            element(
                "section",
                element("h2", workload, id=heading),
                element("p", _race(own, len(drawn)), _of_machines(board, workload), class_="soft"),
                element("div", *figures, class_="pair-of-plots"),
                folded("Hyperparameters and other metrics", more),
                aria_labelledby=heading,
            )
        )
    return sections, plots


def _of_machines(board: Board, workload: str) -> str:
    if workload not in board.on_several_machines:
        return ""
    return (
        " Raced on several kinds of machine, whose seconds are not comparable: studies are "
        "compared by the ratio to each machine's own reference."
    )


def _race(records: Sequence[Record], drawn: int) -> str:
    head = records[0].header
    assert head.target is not None
    budget = f"Budget: {_budget(records)}. "
    budget += crowds.told(drawn, len(records), "drawn")
    if head.target.value is None:
        return f"No target: {head.target.metric} is compared at equal budget. {budget}"
    verb = "at most" if head.target.goal == "min" else "at least"
    stretch = head.target.held
    held = f", held for {stretch.evaluations} more evaluations" if stretch else ""
    held += f" within {short(stretch.slack, 6)}" if stretch and stretch.slack else ""
    reached = sum(record.outcome is not None and ENDS[record.outcome.end].met for record in records)
    return (
        f"Target: {head.target.metric} {verb} {short(head.target.value, 6)}{held}. "
        f"{reached} of {len(records)} trials met it. {budget}"
    )


def _budget(records: Sequence[Record]) -> str:
    """What limits a trial; in reference steps the frameworks differ by their references."""
    budgets = [record.header.budget for record in records]
    paired = sorted({round(b.reference_steps) for b in budgets if b.reference_steps is not None})
    if not paired:
        timed = CLOCKS[records[0].header.clock].in_seconds
        return f"{budgets[0].steps:,} steps" + f" or {budgets[0].seconds:,.0f} s" * timed
    span = " to ".join(f"{most:,}" for most in dict.fromkeys([paired[0], paired[-1]]))
    return f"{span} reference steps, at most {budgets[0].steps:,} steps"


def _profiles(board: Board, looks: Styles) -> Markup:
    caption = (
        f"For each submission, the share of workloads solved within τ times the yardstick's time, "
        f"for τ from 1 to {board.tau_max:g}. Higher and further to the left is better. "
        "Lines are slightly offset so that equal ones stay visible."
    )
    figures = [
        figure(
            profile_plot("profiles", board, looks),
            "profiles",
            "Share of workloads solved within τ",
            "profiles",
        ),
        figure(
            ratio_plot("ratios", board, looks),
            "ratios",
            "Time-to-result relative to the yardstick, by workload",
            "ratios",
        ),
    ]
    plots = element("div", *figures, class_="pair-of-plots")
    return join(element("p", caption, class_="soft"), plots)


def _lead(board: Board, records: Sequence[Record]) -> str:
    racing = {one.header.submission for one in records} - set(REFERENCES)
    workloads = [*board.workloads, *board.at_equal_budget]
    counts = [(racing, "submission"), (workloads, "workload"), (records, "trial")]
    counted = [f"{len(what):,} {word}{'' if len(what) == 1 else 's'}" for what, word in counts]
    dates = sorted(date for folder in _folders(records) if (date := _date(folder)))
    raced = [" to ".join(dict.fromkeys([dates[0], dates[-1]]))] if dates else []
    return ", ".join(counted + raced)


def _folders(records: Sequence[Record]) -> list[Path]:
    return list(dict.fromkeys(run_of(record.path) for record in records))


def _date(folder: Path) -> str | None:
    """The day on which the run began, None where its `run.yaml` does not tell."""
    file = run_file.read(folder)
    return file.day if file else None


def _facts(board: Board, records: Sequence[Record]) -> Markup:
    facts = [("Protocol", board.protocol), ("Scoring clock", CLOCKS[board.clock].label)]
    # A reference runs at hyperparameters chosen beforehand, whatever the race's ruleset.
    racing = [one.header for one in records if not is_reference(one.header.submission)]
    if racing:
        rulesets = sorted({header.ruleset for header in racing})
        facts.append(("Tuning ruleset", ", ".join(rulesets)))
    return shell.fact_list([*facts, *shell.machine_facts(records)])


def _notes(board: Board) -> Markup:
    return element("ul", *(element("li", note) for note in footnotes(board)), class_="notes")


def _trials(board: Board, records: Sequence[Record], looks: Styles) -> Markup:
    listed = crowds.shown(records, board.clock, crowds.ROWS)
    left_out = crowds.told(len(listed), len(records), "listed")
    how = "List all with: gradathlon score RUN --format trials"
    note = element("p", f"{left_out} {how}", class_="soft") if left_out else None
    return join(note, trials_table(listed, looks))
