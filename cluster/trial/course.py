"""A trial's state of progress: all of it in one place, saved whole by checkpoints."""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np

from cluster.trial.clock import Reading
from cluster.trial.pacer import PairedTime
from scoring.details import UNSTEADY
from scoring.ground.pursuit import Pursuit
from scoring.ground.words import StateDict, Target


@dataclasses.dataclass
class Course:
    """How far a trial has come.

    Attributes:
        steps: training steps taken.
        updates: since the last evaluation; one may be several steps.
        evaluated: steps at the last evaluation.
        reading: the clock when it last stopped.
        off_clock_s: seconds of evaluations.
        checkpoint_s: seconds of checkpoints.
        paired: time in reference steps, where the trial takes turns with the reference.
        turns_s: seconds of the reference's turns.
        judged: the judged metric at the last evaluation; None before its window is full.
        history: the metric at every evaluation, as measured.
        judged_at: the official clock at every evaluation that was judged.
        judgements: the judged metric there.
        pursuit: how far it is with its target.
        met_at: steps at which it met the target first.
        windows: seconds a step took, between each two evaluations.
    """

    steps: int = 0
    updates: int = 0
    evaluated: int = 0
    reading: Reading = Reading()  # noqa: RUF009 - frozen
    off_clock_s: float = 0.0
    checkpoint_s: float = 0.0
    paired: PairedTime = dataclasses.field(default_factory=PairedTime)
    turns_s: float = 0.0
    judged: float | None = None
    history: list[float] = dataclasses.field(default_factory=list)
    judged_at: list[float] = dataclasses.field(default_factory=list)
    judgements: list[float] = dataclasses.field(default_factory=list)
    pursuit: Pursuit = dataclasses.field(default_factory=Pursuit)
    met_at: int | None = None
    windows: list[float] = dataclasses.field(default_factory=list)

    def state(self) -> StateDict:
        """All of it, as a checkpoint keeps it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_state(cls, state: StateDict) -> Course:
        """The inverse of `state`."""
        parts = {
            "reading": Reading(**state["reading"]),
            "paired": PairedTime(**state["paired"]),
            "pursuit": Pursuit(**state["pursuit"]),
        }
        return cls(**{**state, **parts})

    def count(self, steps: int) -> None:
        """Note an update of so many steps; one that trained on an old batch is a step, too."""
        self.updates += 1
        self.steps += max(steps, 1)

    def judge(self, value: float, window: int) -> float | None:
        """Note the metric as measured; the mean of the last `window`, once there are so many."""
        self.history.append(value)
        recent = self.history[-window:]
        self.judged = sum(recent) / window if len(recent) == window else None
        return self.judged

    def pursue(self, target: Target, *, on_time: bool) -> None:
        """Note what the evaluation just judged makes of the target."""
        self.pursuit.take(target, self.judged, on_time=on_time)
        if self.met_at is None and self.pursuit.hit is not None:
            self.met_at = self.steps

    def times(self) -> dict[str, float]:
        """For the record: the spread of the seconds a step, and the seconds off the clock."""
        off_clock = {
            "evaluation_s": round(self.off_clock_s, 6),
            "checkpoint_s": round(self.checkpoint_s, 6),
        }
        if self.turns_s:
            off_clock |= {
                "reference_turns_s": round(self.turns_s, 6),
                "reference_step_s": self.paired.pace_s,
            }
        if not self.windows:
            return off_clock
        low, high = np.quantile(self.windows, [0.1, 0.9])
        return {
            "step_s_median": statistics.median(self.windows),
            "step_s_p10": float(low),
            "step_s_p90": float(high),
            "step_s_unsteady": bool(high > UNSTEADY * low),
            **off_clock,
        }
