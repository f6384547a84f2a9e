"""What giving trials up by their learning curves would have saved, and how often it errs.

    gradathlon import-algoperf LOGS -o RUN --reference baseline
    python -m tests.benchmarks.forecast RUN [--picture forecast.svg]

Every trial of a race that was run whole is replayed, evaluation by evaluation, for each optimism.
It is limited as a run is: by its workload's longest trial, which stands for the budget, and by four
times the reference's time. A wrong stop is one of a trial that went on to meet its target within
the limit. Beneath the table: what each submission's trials would have come to at the optimism that
all others' would have chosen for at most 1 % of wrong stops.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scoring.bootstrap import Resampler
from scoring.columns import readings, values
from scoring.forecast import EARLIEST, shortfall
from scoring.frame import gather, official_clock
from scoring.ground.words import is_reference
from scoring.profiles import TAU_MAX
from scoring.records import Record
from scoring.report.axes import Scale, Unit
from scoring.report.markup import element, join
from scoring.report.palette import styles
from scoring.report.pictures import plot_card
from scoring.report.plots import BOTTOM, END, HEIGHT, LEFT, TOP, x_axis, y_axis
from scoring.times import ended_at, time_to_result
from scoring.yardsticks import raced

OPTIMISMS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)
MOST_WRONG = 0.01


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial that was run whole.

    Attributes:
        submission: whose.
        study: workload, submission and number of its study.
        time: to its target within the limit, infinite if never.
        ran: up to its target, its end or the limit.
        shortfalls: the time and the shortfall at each evaluation before that.
    """

    submission: str
    study: tuple[str, str, int]
    time: float
    ran: float
    shortfalls: tuple[tuple[float, float], ...]

    @property
    def met(self) -> bool:
        """Whether it met its target."""
        return math.isfinite(self.time)

    def stop(self, optimism: float) -> float:
        """When it is given up, infinite if never."""
        return next((time for time, by in self.shortfalls if by > optimism), math.inf)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an optimism comes to over some trials: times, and counts of trials and studies."""

    ran: float = 0.0
    saved: float = 0.0
    met: int = 0
    wrong: int = 0
    studies: int = 0
    lost: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Outcome(*(a + b for a, b in pairs))

    @property
    def share_saved(self) -> float:
        """Of the time that was run."""
        return self.saved / self.ran if self.ran else 0.0

    @property
    def share_wrong(self) -> float:
        """Of the trials that met their target."""
        return self.wrong / self.met if self.met else 0.0


def replayed(runs: Sequence[Path]) -> list[Trial]:
    """Every trial of the runs' submissions on workloads that have a reference."""
    gathered = gather(runs)
    clock = official_clock(gathered.trials)
    gathered.trials["time"] = gathered.trials[clock]
    references = {place[1]: studies for place, studies in raced(gathered.trials, clock)}
    tries = gathered.trials.groupby(["workload", "submission", "study"]).size()
    budgets = gathered.trials.groupby("workload")[f"{clock}_end"].max()
    found = []
    for record in gathered.records:
        head = record.header
        study = (head.workload, head.submission, head.study)
        if is_reference(head.submission) or head.workload not in references:
            continue
        yardstick = Resampler(draws=0).medians_of_fastest(
            references[head.workload], float(tries[study])
        )
        limit = min(TAU_MAX * float(yardstick[0]), float(budgets[head.workload]))
        found.append(_trial(record, study, limit))
    return found


def _trial(record: Record, study: tuple[str, str, int], limit: float) -> Trial:
    head, target = record.header, record.header.target
    assert target is not None
    time = time_to_result(head, record.evaluations).on(head.clock)
    ran = min(time, ended_at(record).on(head.clock), limit)
    times = readings(record.evaluations, head.clock)
    curve = values(record.evaluations, target.metric)
    asked = [place for place, at in enumerate(times) if EARLIEST * limit <= at < ran]
    told = [
        (float(times[place]), shortfall(times[: place + 1], curve[: place + 1], target, limit))
        for place in asked
    ]
    met = time <= limit
    return Trial(head.submission, study, time if met else math.inf, ran, tuple(told))


def outcome(trials: Sequence[Trial], optimism: float) -> Outcome:
    """What an optimism comes to; a study is lost that has a time without it and none, or a longer
    one, with it."""
    whole: dict[tuple[str, str, int], float] = defaultdict(lambda: math.inf)
    pruned = whole.copy()
    total = Outcome()
    for trial in trials:
        stop = trial.stop(optimism)
        is_wrong = trial.met and stop < trial.time
        total += Outcome(trial.ran, max(0.0, trial.ran - stop), int(trial.met), int(is_wrong))
        whole[trial.study] = min(whole[trial.study], trial.time)
        pruned[trial.study] = min(pruned[trial.study], math.inf if is_wrong else trial.time)
    met = [study for study, time in whole.items() if math.isfinite(time)]
    lost = sum(pruned[study] > whole[study] for study in met)
    return dataclasses.replace(total, studies=len(met), lost=lost)


def left_out(trials: Sequence[Trial]) -> tuple[Outcome, dict[str, float]]:
    """Each submission at the optimism chosen on all others', summed, and what was chosen."""
    total, chosen = Outcome(), {}
    for name in dict.fromkeys(trial.submission for trial in trials):
        others = [trial for trial in trials if trial.submission != name]
        good = [k for k in OPTIMISMS if outcome(others, k).share_wrong <= MOST_WRONG]
        chosen[name] = good[0] if good else math.inf
        total += outcome([trial for trial in trials if trial.submission == name], chosen[name])
    return total, chosen


def picture(outcomes: Sequence[Outcome]) -> str:
    """Wrong stops against time saved, a mark an optimism."""
    saved = [100 * one.share_saved for one in outcomes]
    wrong = [100 * one.share_wrong for one in outcomes]
    x = Scale(0.0, max(*saved, 1.0) * 1.08, LEFT, END)
    y = Scale(0.0, max(*wrong, 1.0) * 1.08, HEIGHT - BOTTOM, TOP)
    look = styles(["forecast"])["forecast"]
    places = [(x(a), y(b)) for a, b in zip(saved, wrong, strict=True)]
    line = "L".join(f"{across},{up}" for across, up in places)
    marks = [
        join(
            element("path", d=look.marker, class_="mark", transform=f"translate({across},{up})"),
            element("text", f"{optimism:g}", x=across - 8, y=up - 6, class_="soft end"),
        )
        for optimism, (across, up) in zip(OPTIMISMS, places, strict=True)
        if optimism in (1, 2, 3, 4, 6, 8, 12)
    ]
    drawing = join(
        y_axis(y, "% of the trials that met their target, stopped before"),
        x_axis(x, Unit("% of the time saved")),
        element("path", d=f"M{line}", class_=f"line {look.colour}", stroke_width=1.9),
        element("g", *marks, class_=look.colour),
    )
    told = "; ".join(
        f"optimism {k:g}: {a:.1f} % saved, {b:.1f} % wrong"
        for k, a, b in zip(OPTIMISMS, saved, wrong, strict=True)
    )
    note = element("text", "numbers: the optimism", y=12, class_="soft")
    return plot_card("Wrong stops against time saved", told, drawing, [note], [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    trials = replayed(options.runs)
    outcomes = [outcome(trials, optimism) for optimism in OPTIMISMS]
    print("| optimism | time saved | wrong stops | studies that lose their time |")
    print("|---:|---:|---:|---:|")
    for optimism, one in zip(OPTIMISMS, outcomes, strict=True):
        shares = f"{100 * one.share_saved:.1f} % | {100 * one.share_wrong:.1f} %"
        print(f"| {optimism:g} | {shares} | {one.lost} of {one.studies} |")
    total, chosen = left_out(trials)
    print(
        f"\n{len(trials)} trials, {outcomes[0].met} of which met their target. Chosen on the "
        f"others (median {np.median(list(chosen.values())):g}): {100 * total.share_saved:.1f} % "
        f"saved, {100 * total.share_wrong:.1f} % wrong stops, {total.lost} of {total.studies} "
        "studies lost."
    )
    for name, optimism in chosen.items():
        own = outcome([trial for trial in trials if trial.submission == name], optimism)
        print(f"{name}: {optimism:g}, saved {100 * own.share_saved:.1f} %, wrong {own.wrong}")
    if options.picture:
        options.picture.write_text(picture(outcomes))


if __name__ == "__main__":
    main()
