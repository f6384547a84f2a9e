"""The metric that trials are judged by."""

from __future__ import annotations

import dataclasses

from scoring.ground.words import Goal, Held, Target

DIAGNOSTICS = "diagnostics/"
"""How the names of all begin that an evaluation measures for the eye alone: never judged."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """The validation metric that a trial is judged by.

    With `window` above 1 the judged value is the mean over that many consecutive evaluations,
    and there is none before so many have been made; it is recorded beside the raw one as `key`.
    """

    name: str
    goal: Goal
    window: int = 1
    held: Held | None = dataclasses.field(default=None, repr=False)
    """For how long the judged value must stay at a target, where it must."""

    @property
    def key(self) -> str:
        """The name under which the judged value stands in a record."""
        return self.name if self.window == 1 else f"{self.name}_mean{self.window}"

    def target(self, value: float | None) -> Target:
        """The target at that value of the judged metric."""
        return Target(self.key, self.goal, value, self.held)
