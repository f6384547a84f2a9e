"""Checks the lines of one record against each other; contradictions are refused."""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

from scoring.columns import Evaluations, values, within
from scoring.details import exceeds
from scoring.ground.ends import ENDS
from scoring.ground.pursuit import Pursuit
from scoring.ground.words import is_reference, reference_of
from scoring.lines import Evaluation, EventLine, Header, Line, Outcome

_MEAN = re.compile(r"(.+)_mean([2-9]|[1-9]\d{1,3})", re.ASCII)
"""The key of a mean over evaluations: the metric's name and the window."""


MOST_CORES = 4096
"""Nothing that a record may be of has more, so that no more CPU seconds pass in a second."""


class Consistency:
    """Takes the lines of one record in order, and refuses the first invalid one."""

    def __init__(self) -> None:
        self._header: Header | None = None
        self._first: Evaluation | None = None
        self._last: Evaluation | None = None
        self._pursuit = Pursuit()
        self._ended = self._at_once = False
        self._happened: EventLine | None = None
        self._means = Means()
        self._off_grid: int | None = None
        """Steps of an evaluation at which the trial must have ended itself: the last."""

    def take(self, line: Line) -> None:
        """Check a line against those taken before it.

        Raises:
            ValueError: what it cannot be, in words.
        """
        header = self._header
        if header is None:
            if not isinstance(line, Header):
                raise ValueError("no header line; not a trial record")
            _check_header(line)
            self._header = line
            self._means = Means.of(line)
        elif isinstance(line, Header):
            raise ValueError("second header; a record holds one trial")
        elif self._ended:
            again = "second outcome" if isinstance(line, Outcome) else "line after the outcome"
            raise ValueError(f"{again}; a trial ends once")
        elif isinstance(line, Evaluation):
            self._take_evaluation(header, line)
        elif isinstance(line, EventLine):
            self._take_event(line)
        elif isinstance(line, Outcome):
            self._take_outcome(header, line)

    def _take_outcome(self, header: Header, line: Outcome) -> None:
        _check_clocks(line, self._last)
        if self._first is not None and self._last is not None:
            if line.steps != self._last.steps:
                self._check_was_last(self._first.steps)
            _check_witness(line, self._first)
            if header.settings_sha256 and header.target:
                _check_last(header, line, self._last)
        if header.target and self._pursuit.hit is None and _on_a_grid(header):
            self._check_spent(header, line)
        if self._happened is not None:
            _check_order(line, self._happened)
        self._check_end(header, line)
        self._ended = True

    def _check_spent(self, header: Header, line: Outcome) -> None:
        if line.steps > header.budget.steps:
            raise ValueError(f"steps: {line.steps} is beyond the budget of {header.budget.steps}")

    def _take_event(self, line: EventLine) -> None:
        # Where evaluations were taken at once, which of them came before is not known here.
        for before in (self._happened, None if self._at_once else self._last):
            if before is not None:
                _check_order(line, before)
        self._happened = line

    def _take_evaluation(self, header: Header, line: Evaluation) -> None:
        if self._last is not None and line.steps == self._last.steps:
            raise ValueError(f"steps: {line.steps} twice; steps must increase")
        _check_clocks(line, self._last)
        if self._happened is not None:
            _check_order(line, self._happened)
        self._means.take(line)
        if self._first is not None and header.settings_sha256:
            _check_names(line, self._first)
        self._first = self._first or line
        self._last = line
        # A trial without a target may be extended: from a shorter budget, beyond a header's own.
        if header.target is not None:
            self._check_place(header, line, self._first.steps)
            value = line.metrics.get(header.target.metric)
            on_time = bool(within(header, [line])[0])
            self._pursuit.take(header.target, value, on_time=on_time)

    def take_columns(self, evaluations: Evaluations) -> bool:
        """Take all of a record's evaluations at once; False where one of them is not in order."""
        header = self._header
        if header is None or self._ended or self._last is not None or self._means.window > 1:
            return False
        clocks = [evaluations.wall_s, evaluations.cpu_s]
        clocks += [] if evaluations.paired is None else [evaluations.paired]
        rising = (np.diff(evaluations.steps) > 0).all()
        if not rising or any((np.diff(clock) < 0).any() for clock in clocks):
            return False
        if header.target is not None and not _on_grid(header, evaluations.steps):
            return False
        told = [has for name, has in evaluations.present.items() if _is_always_told(name)]
        if header.settings_sha256 and told and np.ptp(np.sum(told, axis=0)):
            return False
        wall_s, cpu_s = evaluations.wall_s, evaluations.cpu_s
        if (cpu_s > MOST_CORES * (wall_s + 1)).any():
            return False
        self._first, self._last = evaluations[0], evaluations[-1]
        self._pursuit = pursuit_of(header, evaluations)
        self._at_once = True
        return True

    def _check_place(self, header: Header, line: Evaluation, period: int) -> None:
        holding = header.target is not None and self._pursuit.is_holding(header.target)
        if line.steps > header.budget.steps and not holding:
            raise ValueError(f"steps: {line.steps} is beyond the budget of {header.budget.steps}")
        self._check_was_last(period)
        if _on_a_grid(header) and period and line.steps % period:
            self._off_grid = line.steps

    def _check_was_last(self, period: int) -> None:
        """A submission may end its training at any step; nobody else is evaluated off the grid."""
        if self._off_grid is not None:
            raise ValueError(
                f"steps: {self._off_grid} is not a multiple of the evaluation period {period}, and "
                "the trial continued"
            )

    def _check_end(self, header: Header, outcome: Outcome) -> None:
        if header.target is None:
            return
        ending, hit = ENDS[outcome.end], self._pursuit.hit is not None
        reached = self._pursuit.reached(header.target)
        if (ending.met or outcome.end == "lost") and not hit:
            raise ValueError(
                f"end: {outcome.end!r}, but no evaluation met the target within the budget"
            )
        if ending.met and not reached:
            raise ValueError(f"end: {outcome.end!r}, but the target was not held")
        if outcome.end == "lost" and reached:
            raise ValueError(f"end: {outcome.end!r}, but the target was held long enough")
        if ending.stopped and hit:
            raise ValueError(
                f"end: {outcome.end!r}, but an evaluation met the target within the budget"
            )


class Means:
    """A judged mean over evaluations, held against the values that it is the mean of."""

    def __init__(self, name: str = "", window: int = 1, *, both: bool = False) -> None:
        self.window = window
        self._name, self._key = name, f"{name}_mean{window}"
        self._both = both
        self._recent: collections.deque[float] = collections.deque(maxlen=window)

    @classmethod
    def of(cls, header: Header) -> Means:
        """That of a header's target; only a record of ours promises to hold the values, too."""
        found = _MEAN.fullmatch(header.target.metric) if header.target else None
        if found is None:
            return cls()
        return cls(found[1], int(found[2]), both=bool(header.settings_sha256))

    def take(self, line: Evaluation) -> None:
        """Check the next evaluation.

        Raises:
            ValueError: its mean is another than that of its values.
        """
        if self.window == 1:
            return
        mean, value = line.metrics.get(self._key), line.metrics.get(self._name)
        if value is None and not self._both:
            self.window = 1  # another tool's, which holds means alone
            return
        if value is not None:
            self._recent.append(value)
        if mean is None:
            if self._both and len(self._recent) == self.window:
                raise ValueError(
                    f"metrics.{self._key}: missing, although its {self.window} values exist"
                )
            return
        if value is None or len(self._recent) < self.window:
            raise ValueError(f"metrics.{self._key}: a mean of only {len(self._recent)} values")
        own = sum(self._recent) / self.window
        finite = math.isfinite(mean) or math.isfinite(own)
        if finite and not math.isclose(mean, own, rel_tol=1e-9, abs_tol=1e-12):
            raise ValueError(f"metrics.{self._key}: {mean:g}, but the values' mean is {own:g}")


def stands_between(evaluations: Sequence[Evaluation], event: Line, before: int) -> bool:
    """Whether an event, with so many evaluations before it, is in order with them."""
    if not isinstance(event, EventLine):
        return True
    early, late = evaluations[before - 1 : before], evaluations[before : before + 1]
    in_order = [(one, event) for one in early] + [(event, one) for one in late]
    return all(a.steps <= b.steps and a.wall_s <= b.wall_s for a, b in in_order)


def _on_grid(header: Header, steps: np.ndarray) -> bool:
    period, most = int(steps[0]), header.budget.steps
    off = steps % period != 0 if _on_a_grid(header) and period else np.zeros(len(steps), bool)
    return bool(steps[-1] <= most and not (off & (steps != most)).any())


def _on_a_grid(header: Header) -> bool:
    """Only a record that names the workload's numbers promises their evaluation grid."""
    return bool(header.settings_sha256) and header.steps_are == "updates"


def _check_header(header: Header) -> None:
    name = header.submission
    if is_reference(name) and name != reference_of(header.framework):
        raise ValueError(f"framework: {header.submission} does not belong to {header.framework}")


def _check_order(line: Evaluation | EventLine | Outcome, before: Evaluation | EventLine) -> None:
    """Events stand between evaluations in the order in which they happened."""
    if line.steps < before.steps:
        raise ValueError(f"steps: {line.steps} after {before.steps}; steps must not decrease")
    if line.wall_s < before.wall_s:
        now, then = line.wall_s, before.wall_s
        raise ValueError(f"wall_s: {now:g} after {then:g}; a clock cannot run backwards")


def _is_always_told(metric: str) -> bool:
    """Whether every evaluation has it: not what training alone tells, nor what needs several."""
    return not metric.startswith(("train/", "diagnostics/")) and not _MEAN.fullmatch(metric)


def _check_names(line: Evaluation, first: Evaluation) -> None:
    """One trial measures as much at each of its evaluations, if not of the same game."""
    now, then = (sum(map(_is_always_told, one.metrics)) for one in (line, first))
    if now != then:
        raise ValueError(f"metrics: found {now}, but the first evaluation has {then}")


def _check_last(header: Header, outcome: Outcome, last: Evaluation) -> None:
    """What ends a trial at an evaluation ends it with that evaluation's clocks."""
    spent = outcome.steps == last.steps == header.budget.steps and outcome.end != "failed"
    held = header.target is not None and header.target.held is not None
    if not spent and (held or outcome.end not in ("reached", "pruned")):
        return
    for name in ("steps", "wall_s", "cpu_s", "paired"):
        now, then = getattr(outcome, name), getattr(last, name)
        if now != then:
            raise ValueError(f"{name}: {now}, but the evaluation that ended the trial has {then}")


def _check_witness(outcome: Outcome, first: Evaluation) -> None:
    """A clock beyond the seconds that another process saw is told as a doubt, or cannot be."""
    seen_s = outcome.extra.get("witness_wall_s")
    if seen_s is None or "doubt" in outcome.extra or "attempts" in outcome.extra:
        return
    since_s = outcome.wall_s - first.wall_s
    if exceeds(since_s, seen_s):
        raise ValueError(f"wall_s: {since_s:g} s from the first evaluation on, within {seen_s:g} s")


def _check_clocks(line: Evaluation | Outcome, before: Evaluation | None) -> None:
    if line.cpu_s > MOST_CORES * (line.wall_s + 1):
        raise ValueError(f"cpu_s: {line.cpu_s:g} CPU seconds within {line.wall_s:g} s")
    if before is None:
        return
    if line.steps < before.steps:
        raise ValueError(f"steps: {line.steps} after {before.steps}; steps must not decrease")
    for name in ("wall_s", "cpu_s", "paired"):
        now, then = getattr(line, name), getattr(before, name)
        if now is not None and then is not None and now < then:
            raise ValueError(f"{name}: {now:g} after {then:g}; a clock cannot run backwards")


def first_hit(header: Header, evaluations: Sequence[Evaluation]) -> int | None:
    """Index of the first evaluation that meets the header's target within its budget, or None.

    It is None, too, where the target must hold and was lost, or has not been held long enough yet.
    Seconds are held against the budget on the header's official clock.
    """
    pursuit, target = pursuit_of(header, evaluations), header.target
    return pursuit.hit if target is not None and pursuit.reached(target) else None


def pursuit_of(header: Header, evaluations: Sequence[Evaluation]) -> Pursuit:
    """What a trial's evaluations made of its target: all taken at once."""
    if not isinstance(evaluations, Evaluations):
        return _pursuit(header, evaluations)
    asked = (header.target, header.budget, header.clock)
    if evaluations.pursuit is None or evaluations.pursuit[0] != asked:
        evaluations.pursuit = asked, _pursuit(header, evaluations)
    return dataclasses.replace(evaluations.pursuit[1])


def _pursuit(header: Header, evaluations: Sequence[Evaluation]) -> Pursuit:
    target = header.target
    if target is None or target.value is None or not len(evaluations):
        return Pursuit(len(evaluations))
    series = values(evaluations, target.metric)
    met = series <= target.value if target.goal == "min" else series >= target.value
    hits = np.flatnonzero(met & np.isfinite(series) & within(header, evaluations))
    if not len(hits):
        return Pursuit(len(series))
    hit, needed = int(hits[0]), target.held.evaluations if target.held else 0
    holds = [target.held_by(float(value)) for value in series[hit + 1 : hit + 1 + needed]]
    held = holds.index(False) if False in holds else len(holds)
    return Pursuit(len(series), hit, held, False in holds)


def in_budget(header: Header, evaluations: Sequence[Evaluation]) -> int:
    """How many evaluations lie within the budget; clocks only rise, so that they come first."""
    return int(within(header, evaluations).sum())
