"""What the lines of one record say of each other: claims that contradict each other are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from scoring.ground.clocks import CLOCKS
from scoring.ground.ends import ENDS
from scoring.ground.words import Framework
from scoring.lines import Evaluation, Header, Line, Outcome

_REFERENCES = {f"reference-{framework}": framework for framework in get_args(Framework)}


class Consistency:
    """Takes the lines of one record in their order, and refuses the first that cannot be."""

    def __init__(self) -> None:
        self._header: Header | None = None
        self._first: Evaluation | None = None
        self._last: Evaluation | None = None
        self._hit = False
        self._ended = False

    def take(self, line: Line) -> None:
        """Check a line against those taken before it.

        Raises:
            ValueError: what it cannot be, in words.
        """
        header = self._header
        if header is None:
            if not isinstance(line, Header):
                raise ValueError("has no header line; not a trial record")
            _check_header(line)
            self._header = line
        elif isinstance(line, Header):
            raise ValueError("a second header: a record is of one trial")
        elif self._ended:
            again = "a second outcome" if isinstance(line, Outcome) else "a line after the outcome"
            raise ValueError(f"{again}: a trial ends once")
        elif isinstance(line, Evaluation):
            self._take_evaluation(header, line)
        elif isinstance(line, Outcome):
            if self._last is not None:
                _check_clocks(line, self._last)
            self._check_end(header, line)
            self._ended = True

    def _take_evaluation(self, header: Header, line: Evaluation) -> None:
        if self._last is not None:
            if line.steps == self._last.steps:
                raise ValueError(f"steps: {line.steps} twice; steps only rise")
            _check_clocks(line, self._last)
        self._first = self._first or line
        self._last = line
        # A trial without a target may be extended: from a shorter budget, beyond a header's own.
        if header.target is not None:
            self._check_place(header, line, self._first.steps)
        self._hit = self._hit or first_hit(header, [line]) is not None

    def _check_place(self, header: Header, line: Evaluation, period: int) -> None:
        if line.steps > header.budget.steps:
            raise ValueError(f"steps: {line.steps} is beyond the budget of {header.budget.steps}")
        # Only a record that names the workload's numbers promises their evaluation grid.
        promised = header.settings_sha256 and header.steps_are == "updates"
        off = promised and period and line.steps % period
        if off and line.steps != header.budget.steps:
            raise ValueError(f"steps: {line.steps} is off the grid of evaluations, every {period}")

    def _check_end(self, header: Header, outcome: Outcome) -> None:
        if header.target is None:
            return
        ending = ENDS[outcome.end]
        if ending.met and not self._hit:
            raise ValueError(
                f"end: {outcome.end!r}, but no evaluation met the target in the budget"
            )
        if ending.stopped and self._hit:
            raise ValueError(
                f"end: {outcome.end!r}, but an evaluation met the target in the budget"
            )


def _check_header(header: Header) -> None:
    framework = _REFERENCES.get(header.submission, header.framework)
    if header.framework != framework:
        raise ValueError(f"framework: {header.submission} is not of {header.framework}")


def _check_clocks(line: Evaluation | Outcome, before: Evaluation) -> None:
    if line.steps < before.steps:
        raise ValueError(f"steps: {line.steps} after {before.steps}; steps only rise")
    for name in ("wall_s", "cpu_s", "paired"):
        now, then = getattr(line, name), getattr(before, name)
        if now is not None and then is not None and now < then:
            raise ValueError(f"{name}: {now:g} after {then:g}; a clock does not run backwards")


def first_hit(header: Header, evaluations: Sequence[Evaluation]) -> int | None:
    """Index of the first evaluation that meets the header's target within its budget, or None.

    There is no interpolation between evaluations and no confirmation by a later one. Seconds are
    held against the budget on the header's official clock.
    """
    for index, evaluation in enumerate(evaluations):
        if header.target is None or not within_budget(header, evaluation):
            return None
        if header.target.met_by(evaluation.metrics.get(header.target.metric)):
            return index
    return None


def within_budget(header: Header, evaluation: Evaluation) -> bool:
    """Whether an evaluation lies within the budget: of steps, and of the official clock."""
    clock, budget = CLOCKS[header.clock], header.budget
    most = {"steps": None, "paired": budget.reference_steps}.get(header.clock, budget.seconds)
    on_time = most is None or clock.read(evaluation) <= most
    return on_time and evaluation.steps <= budget.steps
