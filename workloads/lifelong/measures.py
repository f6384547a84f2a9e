"""What a lifelong learner kept and carried over, from its record: the measures of l2metrics.

Baker, New et al., "A Domain-Agnostic Approach for Characterization of Lifelong Learning Systems"
(arXiv 2301.07799), computed as their package `l2metrics` 3.1.0 does: learning curves are smoothed,
all values are brought from the fixed range 0..1 to 1..101, and a measure is the mean over tasks.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from scoring.records import Record, RecordError

_ACCURACY = re.compile(r"(task\d+)/accuracy")
SMOOTHED_SHARE, SMOOTHED_MOST, SMOOTHED_LEAST = 0.2, 100, 3
"""The share of a block that smoothing averages over, its upper limit, and where it begins."""
TERMINAL_SHARE = 0.1
"""The last part of a learning block, whose mean is its terminal performance."""
LEARNT_SHARE = 0.2
"""A task that stays below this share of the expert's best was not learnt: no efficiency."""

Curve: TypeAlias = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Learning:
    """One turn of one task: accuracies on new images of it, each before they were learnt."""

    task: str
    accuracy: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Evaluating:
    """Every task's accuracy before the first turn, or at the end of one.

    `images` is how many of each task were looked at.
    """

    accuracy: Mapping[str, float]
    images: int


Scenario: TypeAlias = tuple[Learning | Evaluating, ...]
Values: TypeAlias = dict[str, float]
"""By task; a task that has no value is left out."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """l2metrics' measures under its names, each by task (by pair of tasks for transfer).

    Maintenance is in points of 100, negative where something was forgotten: against the evaluation
    right after learning (`mrlep`) or the end of learning itself (`mrtlp`). Transfer compares a
    task before and after another was learnt, as e2 / e1 (`ratio`) or (e2 - e1) / (e2 + e1)
    (`contrast`). The last two need a single-task expert.
    """

    perf_maintenance_mrlep: Values
    perf_maintenance_mrtlp: Values
    forward_transfer_ratio: Values
    forward_transfer_contrast: Values
    backward_transfer_ratio: Values
    backward_transfer_contrast: Values
    ste_rel_perf: Values
    sample_efficiency: Values

    def lifetime(self) -> dict[str, float | None]:
        """Each measure's mean; None where no task has a value."""
        means = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: statistics.fmean(values.values()) if values else None
            for name, values in means.items()
        }


def scenario(record: Record) -> Scenario:
    """A trial as an evaluation, and learning blocks, a turn each, with an evaluation after each.

    It ends where the last task was mastered: what comes after is nobody's turn.

    Raises:
        RecordError: not a trial of the lifelong family, or one that ended before its first turn
            had been looked at.
    """
    log = _Told(record)
    blocks: list[Learning | Evaluating] = [log.before()]
    for turn, end in log.turns():
        curve = log.learning(turn, end)
        if curve:
            blocks.append(Learning(f"task{turn['task']:02}", curve))
        if curve and end in log.evaluated:
            blocks.append(Evaluating(log.evaluated[end], log.images))
    if len(blocks) == 1:
        raise RecordError(f"{record.path}: ended before its first check; train for longer")
    return tuple(blocks)


class _Told:
    """What a record's events and evaluations say of its turns."""

    def __init__(self, record: Record) -> None:
        self._events: dict[str, list[Mapping[str, Any]]] = {}
        for event in record.events:
            self._events.setdefault(event.name, []).append(event.details)
        if "task" not in self._events or "before" not in self._events:
            raise RecordError(
                f"{record.path}: has no tasks; `gradathlon lifelong` reads trials of the "
                "lifelong family, version 2 or later"
            )
        (self._before,) = self._events["before"]
        self.images = int(self._before["images"])
        self.evaluated = {
            line.steps: {
                match[1]: value
                for name, value in line.metrics.items()
                if (match := _ACCURACY.fullmatch(name))
            }
            for line in record.evaluations
        }

    def before(self) -> Evaluating:
        accuracy = self._before["accuracy"]
        by_task = {f"task{index:02}": value for index, value in enumerate(accuracy)}
        return Evaluating(by_task, self.images)

    def turns(self) -> Iterator[tuple[Mapping[str, Any], int]]:
        """Each turn's beginning, and the steps at its end."""
        turns, mastered = self._events["task"], self._events.get("mastered", [])
        last = max(self.evaluated, default=0)
        if len(mastered) == len(self._before["accuracy"]):
            last = mastered[-1]["at"]
        return zip(turns, [*(turn["at"] for turn in turns[1:]), last], strict=True)

    def learning(self, turn: Mapping[str, Any], end: int) -> tuple[float, ...]:
        parts = [
            part["accuracy"]
            for part in self._events.get("learning", [])
            if part["task"] == turn["task"] and turn["at"] < part["at"] <= end
        ]
        return tuple(itertools.chain.from_iterable(parts))


def curve(scene: Scenario, task: str) -> tuple[float, ...]:
    """All learning blocks of one task, joined."""
    parts = [
        block.accuracy for block in scene if isinstance(block, Learning) and block.task == task
    ]
    return tuple(itertools.chain.from_iterable(parts))


def alone(scene: Scenario) -> tuple[float, ...]:
    """The first learning block: a task as a fresh network learns it, to its mastery."""
    return next(block.accuracy for block in scene if isinstance(block, Learning))


def measure(scene: Scenario, experts: Sequence[Sequence[float]] = ()) -> Measures:
    """The measures of a scenario; `experts` are learning curves of a task trained alone."""
    blocks = _Blocks(scene)
    forward, backward = blocks.transfers()
    single = [_scaled(smooth(np.asarray(one, np.float64))) for one in experts]
    return Measures(
        perf_maintenance_mrlep=blocks.maintenance(blocks.reference_after),
        perf_maintenance_mrtlp=blocks.maintenance(blocks.reference_at_end),
        forward_transfer_ratio={pair: after / before for pair, (before, after) in forward.items()},
        forward_transfer_contrast={pair: _contrast(*both) for pair, both in forward.items()},
        backward_transfer_ratio={
            pair: after / before for pair, (before, after) in backward.items()
        },
        backward_transfer_contrast={pair: _contrast(*both) for pair, both in backward.items()},
        ste_rel_perf=blocks.compared(single, _relative_performance),
        sample_efficiency=blocks.falling(blocks.compared(single, _sample_efficiency)),
    )


def smooth(values: Curve) -> Curve:
    """The moving average over a fifth of the values (at most 100), reflected at both ends."""
    window = min(int(SMOOTHED_SHARE * len(values)), SMOOTHED_MOST)
    if window < SMOOTHED_LEAST:
        return values
    padded = np.pad(values, window - 1, mode="reflect")
    averages = np.convolve(padded, np.ones(window) / window, mode="valid")
    return averages[(window - 2) // 2 :][: len(values)]


class _Blocks:
    """A scenario whose values are smoothed and scaled; blocks go by their index."""

    def __init__(self, scene: Scenario) -> None:
        self.learning: dict[str, dict[int, Curve]] = {}
        self.evaluating: dict[str, dict[int, float]] = {}
        self.when: dict[str, list[int]] = {}  # a task's experiences, counted through the scenario
        before = 0
        for index, block in enumerate(scene):
            if isinstance(block, Learning):
                values = _scaled(smooth(np.asarray(block.accuracy, np.float64)))
                self.learning.setdefault(block.task, {})[index] = values
                self.when.setdefault(block.task, []).extend(range(before, before + len(values)))
            before += len(block.accuracy)
            if isinstance(block, Evaluating):
                for task, value in block.accuracy.items():
                    (scaled,) = _scaled(np.array([value])).tolist()
                    self.evaluating.setdefault(task, {})[index] = scaled

    def maintenance(self, reference: Callable[[str, int], float]) -> Values:
        """Mean difference between later evaluations of a task and their reference.

        The first evaluation after each of its learning blocks is no later one.
        """
        values = {}
        for task in self.learning:
            firsts = self._firsts(task)
            later = [
                value - reference(task, index)
                for index, value in self.evaluating.get(task, {}).items()
                if firsts and index > firsts[0] and index not in firsts
            ]
            if later:
                values[task] = statistics.fmean(later)
        return values

    def reference_after(self, task: str, index: int) -> float:
        """The most recent evaluation that followed the task's learning."""
        return self.evaluating[task][max(f for f in self._firsts(task) if f < index)]

    def reference_at_end(self, task: str, index: int) -> float:
        """The terminal performance of the task's most recent learning block."""
        values = self.learning[task][max(b for b in self.learning[task] if b < index)]
        return float(values[int((1 - TERMINAL_SHARE) * len(values)) :].mean())

    def transfers(self) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
        """Forward and backward: a task before and after the first block of another, by pair.

        It is forward where the other was learnt before the task's own first learning block.
        """
        forward: dict[str, tuple[float, float]] = {}
        backward: dict[str, tuple[float, float]] = {}
        for source, target in itertools.permutations(self.evaluating, 2):
            own = min(self.learning.get(target, {}), default=None)
            for block in self.learning.get(source, {}):
                for first, second in itertools.pairwise(self.evaluating[target]):
                    if first < block < second:
                        seen = self.evaluating[target]
                        kind = forward if own is None or block < own else backward
                        kind.setdefault(f"{source}->{target}", (seen[first], seen[second]))
        return forward, backward

    def compared(
        self, experts: Sequence[Curve], compare: Callable[[Curve, Curve], float | None]
    ) -> Values:
        """Each task's joined learning curve against every expert's; the mean over experts."""
        ratios = {}
        for task, blocks in self.learning.items():
            joined = np.concatenate(list(blocks.values()))
            values = [compare(joined, expert) for expert in experts]
            known = [value for value in values if value is not None]
            if known:
                ratios[task] = statistics.fmean(known)
        return ratios

    def falling(self, efficiency: Values) -> Values:
        """Nothing was learnt of a task whose accuracy fell: 0."""
        slopes = {
            task: np.polyfit(self.when[task], np.concatenate(list(self.learning[task].values())), 1)
            for task in efficiency
        }
        return {task: 0.0 if slopes[task][0] < 0 else efficiency[task] for task in efficiency}

    def _firsts(self, task: str) -> list[int]:
        """The first evaluation after each learning block of the task."""
        seen = self.evaluating.get(task, {})
        after = [[index for index in seen if index > block] for block in self.learning[task]]
        return sorted({min(indices) for indices in after if indices})


def _scaled(values: Curve) -> Curve:
    return 100 * values + 1


def _contrast(before: float, after: float) -> float:
    return (after - before) / (after + before)


def _relative_performance(learner: Curve, expert: Curve) -> float:
    shorter = min(len(learner), len(expert))
    return float(learner[:shorter].sum() / expert[:shorter].sum())


def _sample_efficiency(learner: Curve, expert: Curve) -> float | None:
    """Higher saturation, and sooner; None where one of them was best at its very beginning."""
    ours, theirs = smooth(learner), smooth(expert)
    when, when_expert = int(ours.argmax()), int(theirs.argmax())
    if not when or not when_expert:
        return None
    height = float(ours.max() / theirs.max())
    return 0.0 if height < LEARNT_SHARE else height * when_expert / when
