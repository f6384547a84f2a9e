"""The paired clock: time counted in the reference's steps, which are timed in turns with it.

On shared hardware a second is not a second: the same trial takes 18 s or 31 s as its neighbours
please, and CPU time moves with them (caches, frequency, a virtual machine's siblings). What stays
is the ratio of two programs that run on the same core at the same moment. So every second or so the
trial's clock is stopped for a short turn of the reference's own training steps (same model, data,
framework, process and core), and the window of the submission that lies between two turns is
divided by the reference's seconds a step about then. The sum over windows is the paired time: how
many steps the reference would have made meanwhile.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from time import perf_counter_ns as _now_ns

from cluster.learners.contract import Learner, LearnersPolicy
from cluster.node_data import drawn_from
from cluster.process import globals_state, load_globals
from workloads.contract import Stream

WINDOW_S = 0.3
"""Seconds of the submission between two turns of the reference, at least."""
TURN_S = 0.1
"""Seconds of a turn, or one step if that is longer. JAX takes about a millisecond more where a few
steps stand alone between two barriers: half of this, and its steps would read 2 to 4 % too long."""
SHARE = 0.08
"""Turns take at most this share of a trial's time, what comes before its clock starts included."""
WARM_BELOW_S = 0.015
"""Steps shorter than this get one first that is not timed: caches hold the submission's data."""
SETTLING_S = 0.25
"""Seconds of steps before the first window that are not counted: what a process does for the first
time is slow, mapping memory above all, and so are the first steps of some training."""
FIRST = 3
"""Turns whose median is the pace of the first window."""

MEMORY = 8
"""Turns whose mean is the pace. One alone is often off by a sixth beside a busy neighbour; dividing
by it would count too many steps, since the mean of 1 / x is more than 1 / the mean."""


@dataclasses.dataclass
class PairedTime:
    """Paired time so far, in reference steps, and what is needed to go on.

    Attributes:
        steps: reference steps that the submission's closed windows were worth.
        wall_s: the clock's reading at the end of the last closed window.
        turned_s: its reading at the reference's last turn.
        pace_s: the reference's seconds a step, of the last turns.
        turns: how many these were, since the trial began or went on.
    """

    steps: float = 0.0
    wall_s: float = 0.0
    turned_s: float = 0.0
    pace_s: float = 0.0
    turns: int = 0

    def start(self, pace_s: float) -> None:
        """Begin, or go on, perhaps on another machine: what was measured before is forgotten."""
        self.pace_s, self.turns = pace_s, FIRST

    def close(self, wall_s: float, pace_s: float | None = None) -> None:
        """End a window at the reading `wall_s`, with the reference's pace measured there, if it is.

        The mean of the first turns is a plain one; later ones weigh more than what lies further
        back, which fades over about `MEMORY` turns.
        """
        if pace_s is not None:
            self.turns += 1
            self.pace_s += (pace_s - self.pace_s) / min(self.turns, MEMORY)
            self.turned_s = wall_s
        self.steps += (wall_s - self.wall_s) / self.pace_s
        self.wall_s = wall_s


class Pacer:
    """The reference in training, a few steps at a time. Never on the clock.

    `learner` is warmed up and has begun; `stream` is its own, `horizon` its workload's. What is
    random to a submission by the name of a module alone (`random`, `numpy.random`) is left as it
    was found.
    """

    def __init__(self, learner: Learner, stream: Stream, horizon: int) -> None:
        self._learner = learner
        self._stream = stream
        self._horizon = horizon
        self._draw = drawn_from(stream, LearnersPolicy(learner))
        self._step_s = TURN_S
        self._took_s = 0.0
        self._spent_s = 0.0
        self._before_s = 0.0
        self._began_s = 0.0

    def due(self, time: PairedTime, wall_s: float) -> bool:
        """Whether a turn is, at the clock's reading `wall_s`: turns are even over a trial.

        Their share of the time before the clock is spread over half a horizon, about as long as a
        trial that meets its target: a short one would else have too few turns to be read by.
        """
        trained_s = wall_s - self._began_s
        usual_s = self._horizon / 2 * time.pace_s
        time_s = trained_s + self._before_s * min(1.0, trained_s / usual_s)
        is_affordable = self._spent_s + self._took_s <= SHARE * time_s
        return is_affordable and wall_s - time.turned_s > WINDOW_S

    def begin(
        self, time: PairedTime, before_s: float = 0.0, now_ns: Callable[[], int] = _now_ns
    ) -> float:
        """Measure the pace of the first window (see `SETTLING_S`, `FIRST`); return what it took.

        The trial spent `before_s` so far, making ready.
        """
        self._before_s, self._began_s, self._spent_s = before_s, time.wall_s, 0.0
        pace_s = self.turn(now_ns)
        if pace_s <= 2 * TURN_S:  # a longer one does not feel what is cold
            while self._spent_s < SETTLING_S:
                self.turn(now_ns)
            pace_s = statistics.median(self.turn(now_ns) for _ in range(FIRST))
        time.start(pace_s)
        took_s, self._spent_s = self._spent_s, 0.0
        return took_s

    def close_window(
        self, time: PairedTime, wall_s: float, now_ns: Callable[[], int] = _now_ns
    ) -> float:
        """Count the window up to `wall_s`, with a turn if one is due; return what that took."""
        if not self.due(time, wall_s):
            time.close(wall_s)
            return 0.0
        time.close(wall_s, self.turn(now_ns))
        return self._took_s

    def turn(self, now_ns: Callable[[], int] = _now_ns) -> float:
        """Train for about `TURN_S` and return the seconds a step, the stream's share included."""
        entered = now_ns()
        found = globals_state()
        try:
            if self._step_s < WARM_BELOW_S:
                self._steps(1)
            count = max(1, round(TURN_S / self._step_s))
            began = now_ns()
            self._steps(count)
            self._step_s = (now_ns() - began) / 1e9 / count
            self._learner.drain()  # reads by-products on the host, which no step does
        finally:
            load_globals(found)
        self._took_s = (now_ns() - entered) / 1e9
        self._spent_s += self._took_s
        return self._step_s

    def close(self) -> None:
        """Release the stream."""
        self._stream.close()

    def _steps(self, count: int) -> None:
        for _ in range(count):
            self._learner.step(self._draw)
        self._learner.synchronize()
