"""The metric that trials are judged by."""

from __future__ import annotations

import dataclasses

from scoring.ground.words import Goal, Held, Target

DIAGNOSTICS = "diagnostics/"
"""Prefix of the metrics that are recorded for inspection only and never judged."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """The validation metric that a trial is judged by.

    With `window` above 1, the judged value is the mean over the last `window` evaluations; there
    is none before that many were made. It is recorded as `key`, beside the raw value.
    """

    name: str
    goal: Goal
    window: int = 1
    held: Held | None = dataclasses.field(default=None, repr=False)
    """How long the judged value must stay at a target; None if it need not."""

    @property
    def key(self) -> str:
        """The name of the judged value in a record."""
        return self.name if self.window == 1 else f"{self.name}_mean{self.window}"

    def target(self, value: float | None) -> Target:
        """A target at `value` of the judged metric."""
        return Target(self.key, self.goal, value, self.held)
