"""Notes beneath a board: what was missing, excluded, failed or doubtful."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.frame import APART
from scoring.ground.clocks import CLOCKS
from scoring.ground.words import REFERENCES, Clock, is_reference, reference_of

if TYPE_CHECKING:
    import pandas as pd

    from scoring.yardsticks import Yardsticks

DRIFT = 0.02
"""References of several runs that differ by more than this share are noted."""
DEAR = 1.5
"""On the steps clock, steps that take more than this many times the reference's CPU are noted."""
OFF_CLOCK = 0.6
"""Trials that spend a larger share of their seconds off the clock are noted. One of two seconds, of
`lifelong` in JAX, honestly spends 53 %: evaluations, and the reference's turns."""
SHOWN = 3
"""The most files or reasons named in one remark."""


def remarks(trials: pd.DataFrame, clock: Clock) -> list[str]:
    """One sentence per issue; empty if all is well."""
    return [
        *_missing(trials),
        *_met_by_none(trials),
        *_ends(trials),
        *_mixtures(trials, clock),
        *_doubts(trials, clock),
        *_carried(trials),
        *(_dear_steps(trials) if clock == "steps" else ()),
    ]


def completeness_remarks(trials: pd.DataFrame, refused: Sequence[str]) -> Iterator[str]:
    """Planned trials without a record, and invalid records."""
    for name, rows in trials.groupby("submission"):
        missing = int((rows["end"] == "missing").sum())
        if missing:
            yield f"{missing} of {len(rows)} planned trials of {name} are missing: {_counted(name)}"
    if refused:
        count = f"{len(refused)} record{'s' * (len(refused) > 1)}"
        yield (
            f"{count} invalid, counted as missed (list them with gradathlon validate): "
            f"{_some(list(refused), '; ')}"
        )


def _counted(name: object) -> str:
    return "excluded" if is_reference(str(name)) else "counted as missed"


def yardstick_remarks(trials: pd.DataFrame) -> Iterator[str]:
    """Where a reference missed the target itself."""
    rows = trials[trials["submission"].isin(REFERENCES)]
    for (name, workload), cell in rows.groupby(["submission", "workload"]):
        met = cell["time"].lt(float("inf")).groupby(cell["study"]).any()
        if not met.all():
            yield (
                f"{name} missed the target of {workload} in {(~met).sum()} of {len(met)} studies; "
                "these count with the time their budget ended, or not at all if they broke off"
            )


def run_remarks(trials: pd.DataFrame, references: Yardsticks) -> Iterator[str]:
    """For several runs: that each is scored against its own references, and how these differ."""
    runs = sorted(trials["run"].unique())
    if len(runs) < 2:
        return
    machines = ", ".join(map(_machine_of(trials), runs))
    yield f"{len(runs)} runs, each scored against its own references: {machines}"
    yield from _raced_again(trials)
    medians: dict[tuple[str, str], dict[str, float]] = {}
    for (run, workload, framework), studies in references.found.items():
        time = statistics.median(studies.values())
        medians.setdefault((workload, framework), {})[run] = time
    for (workload, framework), by_run in medians.items():
        low, high = min(by_run.values()), max(by_run.values())
        if high > low * (1 + DRIFT):
            times = ", ".join(f"{time:.4g} in {Path(run).name}" for run, time in by_run.items())
            yield f"{reference_of(framework)} on {workload} took {times}"
    texts = trials.loc[trials["path"] != "", "versions"].unique()
    differing = _differing([json.loads(text) for text in texts])
    if differing:
        yield f"software versions differ between runs: {'; '.join(differing)}"


def _raced_again(trials: pd.DataFrame) -> Iterator[str]:
    """For submissions raced in several runs: that all studies count, and whether seeds repeat."""
    own = trials[~trials["submission"].isin(REFERENCES) & (trials["path"] != "")]
    for name in sorted(own.loc[own["number"] >= APART, "submission"].unique()):
        rows = own[own["submission"] == name]
        again = rows.duplicated(["workload", "seed"]).any()
        caution = "; some share seeds and are not independent: its interval is too narrow"
        yield (
            f"{name} was raced in {rows['run'].nunique()} runs; all its studies count"
            f"{caution if again else ''}"
        )


def _machine_of(trials: pd.DataFrame) -> Callable[[str], str]:
    def told(run: str) -> str:
        rows = trials[(trials["run"] == run) & (trials["path"] != "")]
        cpus = sorted({str(json.loads(text).get("cpu", "?")) for text in rows["hardware"]})
        return f"{Path(run).name} ({' and '.join(cpus) or 'nothing recorded'})"

    return told


def _differing(versions: Sequence[dict[str, str]]) -> list[str]:
    names = sorted({name for one in versions for name in one})
    differences = []
    for name in names:
        values = sorted({str(one.get(name, "none")) for one in versions})
        if len(values) > 1:
            differences.append(f"{name} {' / '.join(values)}")
    return differences


def _missing(trials: pd.DataFrame) -> Iterator[str]:
    workloads = sorted(trials["workload"].unique())
    studies = trials.groupby(["submission", "workload"])["study"].nunique()
    for name, own in studies.groupby(level=0):
        counts = own.droplevel(0)
        for workload in workloads:
            if workload not in counts:
                counted = "not run" if is_reference(str(name)) else "counted as missed"
                yield f"{name} has no trial on {workload}: {counted}"
        if counts.nunique() > 1:
            places = ", ".join(f"{counts[w]} on {w}" for w in sorted(counts.index))
            yield f"{name} has unequal numbers of studies: {places}"


def _met_by_none(trials: pd.DataFrame) -> Iterator[str]:
    entries = trials[~trials["submission"].isin(REFERENCES)]
    missed = entries["time"].eq(float("inf")).groupby(entries["workload"]).all()
    names = [str(workload) for workload in missed[missed].index]
    if names:
        yield (
            f"no submission met the target of {_some(names)}: it does not separate them; compare "
            "their learning curves (gradathlon report)"
        )


_TOLD = {
    "failed": "failed",
    "lost": "met the target and lost it",
    "unfinished": "are unfinished",
}


def _ends(trials: pd.DataFrame) -> Iterator[str]:
    counts = trials["submission"].value_counts()
    which = trials[trials["end"].isin([*_TOLD]) & (trials["evaluation"] < 0)]
    for name, rows in which.groupby("submission"):
        for end, verb in _TOLD.items():
            own = rows[rows["end"] == end]
            if own.empty:
                continue
            reasons = sorted({" ".join(text.split()) for text in own["reason"] if text})
            why = f": {_some(reasons, '; ')}" if reasons else ""
            yield f"{len(own)} of {counts[name]} trials of {name} {verb}{why}"


def _mixtures(trials: pd.DataFrame, clock: Clock) -> Iterator[str]:
    recorded = trials[trials["path"] != ""]  # of what is missing nobody knows where it would run
    kinds = recorded["digest"].nunique()
    if kinds > 1:
        unit = "seconds" if CLOCKS[clock].in_seconds else clock
        yield f"{unit} were measured on {kinds} kinds of hardware"
    competing = recorded[~recorded["submission"].isin(REFERENCES)]
    rulesets = sorted(competing["ruleset"].unique())
    if len(rulesets) > 1:
        yield f"the board mixes tuning rulesets: {', '.join(rulesets)}"


def _doubts(trials: pd.DataFrame, clock: Clock) -> Iterator[str]:
    torn = sorted(trials.loc[trials["torn"], "path"])
    if torn:
        yield f"a crash truncated the last line of {_some(torn)}; it was ignored"
    again = trials[trials["attempts"] > 1]
    if not again.empty:
        most = int(again["attempts"].max())
        yield (
            f"{len(again)} of {len(trials)} trials were restarted, with up to {most} attempts: "
            f"{_some(sorted(again['path']))}"
        )
    for name, rows in trials[trials["doubt"] != ""].groupby("submission"):
        lines = [
            f"{path}: {doubt}" for path, doubt in zip(rows["path"], rows["doubt"], strict=True)
        ]
        yield f"a second process contradicts the clock of {name}: {_some(sorted(lines), '; ')}"
    for name, rows in trials[trials["off_clock_share"] > OFF_CLOCK].groupby("submission"):
        pairs = zip(rows["off_clock_share"], rows["path"], strict=True)
        lines = [f"{path} ({100 * share:.0f} %)" for share, path in sorted(pairs, reverse=True)]
        yield (
            f"{len(lines)} of the trials of {name} spent more than {100 * OFF_CLOCK:.0f} % of "
            f"their seconds off the clock: {_some(lines)}"
        )
    unsteady = sorted(trials.loc[trials["unsteady"], "path"])
    if clock == "wall" and unsteady:
        yield (
            f"{len(unsteady)} of {len(trials)} trials had unsteady step times, so their "
            f"seconds are unreliable (try --clock cpu or steps): {_some(unsteady)}"
        )


def _carried(trials: pd.DataFrame) -> Iterator[str]:
    """Files that a trial read and an earlier one may have left, by the audit."""
    for name, rows in trials[trials["audit"] != "[]"].groupby("submission"):
        noted = [
            (str(path), *str(entry).partition(": ")[::2])
            for path, audit in zip(rows["path"], rows["audit"], strict=True)
            for entry in json.loads(audit)
        ]
        writers: dict[str, set[str]] = {}
        for path, verb, file in noted:
            if verb == "wrote":
                writers.setdefault(file, set()).add(path)
        files: dict[str, set[str]] = {}
        for path, verb, file in noted:
            if verb == "carried" or (verb == "opened" and writers.get(file, set()) - {path}):
                files.setdefault(file, set()).add(path)
        if files:
            told = [f"{file} (read in {_some(sorted(by))})" for file, by in sorted(files.items())]
            yield (
                f"{name} read files that an earlier trial may have left; trials must not share "
                f"state: {_some(told, '; ')}"
            )


def _dear_steps(trials: pd.DataFrame) -> Iterator[str]:
    """On the steps clock, expensive steps are free: name the submissions that made them."""
    made = trials[trials["steps_end"] > 0]
    cost = made.assign(cost=made["cpu_end"] / made["steps_end"])
    median = {
        (str(name), str(workload), str(framework)): float(rows["cost"].median())
        for (name, workload, framework), rows in cost.groupby(
            ["submission", "workload", "framework"]
        )
    }
    dear: dict[tuple[str, str], list[str]] = {}
    for (name, workload, framework), cpu_s in median.items():
        yardstick, least = _cheapest(median, workload, framework)
        if least and cpu_s > DEAR * least:
            told = dear.setdefault((name, yardstick), [])
            told.append(f"{cpu_s / least:.2g} on {workload}")
    for (name, yardstick), told in dear.items():
        whose = "the reference" if is_reference(yardstick) else yardstick
        yield (
            f"a step of {name} took more CPU time than {whose}'s, by a factor of {_some(told)}: "
            "the steps clock ignores this; --clock cpu counts it"
        )


def _cheapest(
    median: Mapping[tuple[str, str, str], float], workload: str, framework: str
) -> tuple[str, float]:
    """The baseline for step costs: the reference, or the cheapest where it was not raced."""
    reference = reference_of(framework)
    raced = {
        name: cpu_s for (name, *where), cpu_s in median.items() if where == [workload, framework]
    }
    if reference in raced:
        return reference, raced[reference]
    return min(raced.items(), key=lambda one: one[1])


def _some(texts: list[str], between: str = ", ") -> str:
    return between.join([*texts[:SHOWN], *(["..."] if len(texts) > SHOWN else [])])
