"""How far a trial is with its target: not met, met and to be held, reached, lost.

One rule for the trial that races, the record that is checked and the time that is scored: each
tells it the evaluations in their order.
"""

from __future__ import annotations

import dataclasses

from scoring.ground.words import Target


@dataclasses.dataclass
class Pursuit:
    """What the evaluations so far have made of a target.

    Attributes:
        seen: how many there were.
        hit: the number of the first that met the target within the budget, from 0.
        held: how many of those after it held the target, as far as it must hold.
        lost: whether one of them did not.
    """

    seen: int = 0
    hit: int | None = None
    held: int = 0
    lost: bool = False

    def take(self, target: Target, value: float | None, *, on_time: bool) -> None:
        """Take the judged value of the next evaluation; what comes after the end is ignored.

        `on_time` says whether it lies within the budget, which is for meeting the target: holding
        it takes what it takes.
        """
        if self.hit is None:
            if on_time and target.met_by(value):
                self.hit = self.seen
        elif self.is_holding(target):
            if target.held_by(value):
                self.held += 1
            else:
                self.lost = True
        self.seen += 1

    def reached(self, target: Target) -> bool:
        """Whether the target was met, and held for as long as it must be."""
        return self.hit is not None and not self.lost and self.held >= _needed(target)

    def is_holding(self, target: Target) -> bool:
        """Whether the target was met and is still to be held."""
        return self.hit is not None and not self.lost and self.held < _needed(target)


def _needed(target: Target) -> int:
    return target.held.evaluations if target.held else 0
