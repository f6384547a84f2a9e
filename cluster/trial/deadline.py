"""The alarm that ends a step that does not finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from cluster.spec import TrialSpec
from cluster.trial.clock import Reading

GRACE_S = 30.0
"""What a step may overrun the budget by before it is taken for hung."""
_LENIENCE = {"wall": 1.0, "cpu": 4.0, "steps": 10.0, "paired": 10.0}
"""How many times its seconds a budget may take on the wall, by the clock that counts."""
WARM_UP_S = 300.0
"""What imports, compilation and the first steps may take, whatever the budget: disks are cold."""
EVALUATION_S = 300.0
"""What an evaluation may take, with the test where it is the last: no step of the budget's."""


class Overdue(BaseException):
    """A step did not come back. Not an `Exception`, so that a submission's handlers let it pass."""


class Deadline:
    """Raises `Overdue` in the main thread once a step has far overrun what is left of the budget.

    A step that is merely slow ends the trial as `budget` when it returns; this is for one that
    never does. It interrupts Python code, sleeps included; a call that hangs inside an extension
    is ended by the executor, from outside. In another thread than the main one it does nothing.
    """

    def __init__(self, spec: TrialSpec, steps: Callable[[], int]) -> None:
        self._spec = spec
        self._steps = steps
        self._usable = threading.current_thread() is threading.main_thread()
        self._previous: object = None
        self._seconds = 0.0
        self._warming_up = False
        self._seen = -1

    def __enter__(self) -> Deadline:
        if self._usable:
            self._previous = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._usable:
            self.disarm()
            signal.signal(signal.SIGALRM, self._previous)  # type: ignore[arg-type]

    def arm(self, already: Reading) -> None:
        """Ring when no step was done while the rest of the budget, and the grace, passed."""
        self._warming_up = False
        self._start(allowed_s(self._spec, already) + GRACE_S)

    def arm_warm_up(self) -> None:
        """Ring when the warm-up takes longer than any has to."""
        self._warming_up = True
        self._start(WARM_UP_S)

    def disarm(self) -> None:
        """Do not ring."""
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _start(self, seconds: float) -> None:
        self._seconds, self._seen = seconds, self._steps()
        if self._usable:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        steps = self._steps()
        if steps > self._seen and not self._warming_up:  # slow, but it does come back
            self._start(self._seconds)
            return
        what = "the warm-up" if self._warming_up else f"step {steps + 1}"
        raise Overdue(
            f"{what} did not finish within {self._seconds:g} s; look for an endless loop or a "
            "blocking wait in the submission"
        )


def allowed_s(spec: TrialSpec, already: Reading) -> float:
    """Wall seconds that one stretch on the clock may take within the budget."""
    if spec.clock in ("steps", "paired"):  # seconds do not count against such a budget
        return spec.budget.seconds * _LENIENCE[spec.clock]
    if spec.target is not None and spec.target.held is not None:
        return spec.budget.seconds * _LENIENCE[spec.clock]  # no budget limits the holding
    on_clock = already.cpu_s if spec.clock == "cpu" else already.wall_s
    remaining_s = max(0.0, spec.budget.seconds - on_clock)
    return remaining_s * _LENIENCE[spec.clock]


def silence_s(spec: TrialSpec, training: bool, wall_s: float) -> float:
    """Seconds without a word after which a trial's process is taken for hung, from outside.

    Longer than the trial's own alarm, which rings first where it can, and than an evaluation after
    the last step that the budget has room for.
    """
    if not training:
        return 2 * WARM_UP_S
    return 2 * (allowed_s(spec, Reading(wall_s, 0.0)) + GRACE_S) + EVALUATION_S
