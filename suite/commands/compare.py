"""`gradathlon compare`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suite.commands import Option
from suite.commands.board_options import gradathlon_options
from suite.run_folder import RunFolder, is_url
from suite.text_table import columns

if TYPE_CHECKING:
    from scoring.comparison import Comparison


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="RUN|URL... A B")
@gradathlon_options
def compare(words: tuple[str, ...], **options: Option) -> None:
    """Compare two submissions of runs: how much they differ, how surely, and where.

    Compares their scores under the gradathlon protocol.

    \b
    Examples:
        gradathlon compare runs/first adamw prodigy
        gradathlon compare runs/mine runs/theirs my_opt reference-torch --clock steps
    """
    if len(words) < 3:
        raise click.UsageError("expected one or more runs, then two submissions: RUN... A B")
    from scoring import board, run_file
    from scoring.comparison import compare as compare_entries
    from scoring.ground.documents import ConfigError

    *runs, one, other = words
    for word in (one, other):
        if is_url(word) or Path(word, run_file.NAME).exists() or Path(word, "trials").is_dir():
            raise ConfigError(
                f"{word} is a run, where a submission is expected: give the runs first, then two "
                "submissions of the board: gradathlon compare RUN... A B"
            )
    folder = RunFolder()
    computed = board.compute([folder.convert(run, None, None) for run in runs], **options)
    for line in _lines(compare_entries(computed, one, other), one, other):
        click.echo(line)


def _lines(comparison: Comparison, one: str, other: str) -> list[str]:
    lines = [
        _verdict(comparison, one, other),
        f"score: {one} {comparison.scores[0]:.3f}, {other} {comparison.scores[1]:.3f}",
        *_how_sure(comparison, one),
    ]
    if math.isfinite(comparison.speed_up):
        lines.append(
            f"geometric mean speed-up of {one} where both met the target: {comparison.speed_up:.3f}"
        )
    rows = [
        (
            name,
            _time(part.one, part.ratios[0]),
            _time(part.other, part.ratios[1]),
            _number(part.ratio),
            "" if part.interval is None else "{:.3f}–{:.3f}".format(*part.interval),
            " / ".join(map(_score, comparison.without[name])),
        )
        for name, part in comparison.parts.items()
    ]
    head = ("workload", one, other, "ratio", "95 %", "scores without it")
    told = (
        "×: time relative to the reference that the submission is scored against; ratio of the "
        f"two ×: below 1 where {one} is faster; —: missed or not run"
    )
    return [*lines, "", columns(head, rows), "", told]


def _verdict(comparison: Comparison, one: str, other: str) -> str:
    if not comparison.surely:
        return f"the difference between {one} and {other} is not significant"
    ahead = comparison.scores[0] > comparison.scores[1]
    better, worse = (one, other) if ahead else (other, one)
    return f"{better} is significantly better than {worse} (5 %, for this pair alone)"


def _how_sure(comparison: Comparison, one: str) -> list[str]:
    from scoring.report.tables import share_text

    gap = comparison.difference
    if not math.isfinite(gap.low):
        return ["difference: cannot be tested on one study, or on several that differ alike"]
    held = ", clipped to the possible range" if gap.held else ""
    lines = [
        f"difference over paired studies: {gap.mean:+.3f} "
        f"(95 %: {gap.low:+.3f} to {gap.high:+.3f}{held}), p = {gap.p:.2g}"
    ]
    if comparison.chance is not None:
        share = share_text(comparison.chance)
        lines.append(f"{one} scores higher in {share} of resampled studies")
    return lines


def _time(time: float, ratio: float) -> str:
    if not math.isfinite(ratio):
        return _number(time)
    own = "" if math.isnan(time) else f"{_number(time)} "  # machines of several kinds have none
    return f"{own}×{ratio:.2f}"


def _score(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "—"  # of no workload there is none


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "—"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
