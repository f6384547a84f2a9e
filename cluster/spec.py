"""What the cluster is asked to run, and what it reports meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from scoring.ground.errors import UserError
from scoring.ground.words import Budget, Clock, Resources, Ruleset, Target, TrialKey
from scoring.records import Outcome, record_path
from submissions.source import Source

Phase = Literal["queued", "waiting for a core", "preparing", "warming up", "training", "ended"]


HOLDING_FACTOR = 4
"""A target that must hold for so many steps is given up after this many times as many.

Evaluations wait for the stream, so that one who hardly draws would hold its target for ever.
"""


class ClusterError(UserError):
    """The place to race cannot be had: one line that says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """The reference that a trial on the paired clock takes turns with."""

    source: Source
    hyperparameters: Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Stop:
    """When a trial may stop, since it can no longer change what it is raced for.

    Attributes:
        after: time on the official clock; the trial ends `pruned` at the first evaluation from
            then on that does not meet the target, and does not begin where there is no time.
        why: the rule, in words.
        optimism: set, the trial also stops where `scoring.forecast` gives it up.
    """

    after: float
    why: str
    optimism: float | None = None


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """One training run, complete: nothing else decides what it does.

    `target` is None only in runs that set targets: such a trial goes on to the end of its budget.
    `pace` is set exactly on the paired clock. `stop` is set when the trial starts, by what is known
    then of others; it is no part of what the trial is.
    `run` is an absolute path. `settings` are the workload's numbers and `settings_sha256` their
    digest; empty, `run_all` fills them in from its own machine, and a worker whose own differ does
    not race.
    """

    run: Path
    workload: str
    submission: str
    source: Source
    hyperparameters: Mapping[str, object]
    study: int
    trial: int
    seed: int
    target: Target | None
    budget: Budget
    clock: Clock = "wall"
    resources: Resources = Resources()  # noqa: RUF009 - frozen
    ruleset: Ruleset = "external"
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    settings_sha256: str = ""
    pace: Pace | None = None
    stop: Stop | None = None

    @property
    def key(self) -> TrialKey:
        """What tells the trial apart from every other of its run."""
        return TrialKey(self.workload, self.submission, self.study, self.trial)

    def record(self, attempt: int) -> Path:
        """Where the record of that attempt lies."""
        return record_path(self.run, self.key, attempt)

    @property
    def extensible(self) -> bool:
        """Whether a trial whose steps are spent keeps its checkpoint, to be given more later."""
        return self.target is None

    @property
    def counts_batches(self) -> bool:
        """Whether every batch is a step: AlgoPerf's files may train on many in one update."""
        return self.source.api == "algoperf"

    @property
    def steps_spent(self) -> str:
        """The reason of an end, in words."""
        return f"{self.budget.steps} steps are spent"

    @property
    def time_spent(self) -> str:
        """The same, where the clock's limit ended it."""
        if self.clock == "paired":
            return f"{self.budget.reference_steps:g} reference steps on the paired clock are spent"
        return f"{self.budget.seconds:g} s on the {self.clock} clock are spent"

    @property
    def checkpoint(self) -> Path:
        """Where its checkpoint lies."""
        return self.record(0).with_suffix(".checkpoint.safetensors")


@dataclasses.dataclass(frozen=True)
class Update:
    """News of a running trial."""

    key: TrialKey
    phase: Phase
    steps: int = 0
    wall_s: float = 0.0
    metric: float | None = None
    """The judged metric at the last evaluation."""
    off_clock_s: float = 0.0
    """Seconds of evaluations, checkpoints and the reference's turns so far."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """A trial that ended, now or before the run was resumed."""

    spec: TrialSpec
    outcome: Outcome


Watch = Callable[[Update], None]
Tell = Callable[[str], None]
"""Called with a line that the user should read."""
Limits = Callable[[TrialSpec], Stop | None]
"""Asked where the run is driven, just before a trial starts; None lets it run to its own end."""
