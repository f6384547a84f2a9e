"""What `gradathlon run` was asked for."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path

import cluster
from scoring.ground.words import Clock
from suite.pruning import Mode


@dataclasses.dataclass(frozen=True)
class Request:
    """The words of the command line; None and () leave it to the suite.

    Attributes:
        suite: a shipped suite or a YAML file; may be None for a run that is resumed.
        submissions: names or paths instead of the suite's.
        workloads: ids instead of the suite's.
        output: the run's folder; None for one named after the suite and the time.
        url: where the run is kept, instead of `output`; it is raced in a folder of this machine's.
        address: of a Ray cluster; None for this machine.
        at_once: trials at the same time; None for as many as there is room for.
        resume: go on with the run in `output`.
        retry_failed: race its failed trials again.
        executor: where trials run.
        studies: instead of the suite's.
        trials: instead of the suite's.
        clock: instead of the suite's.
        seed: instead of the suite's.
        dry_run: only print the plan.
        reference: race the protocol's references beside the submissions.
        race_reference: race them also where their steps ship with the target.
        prune: which trials are ended early.
        wandb: log the trials to Weights & Biases.
        wandb_project: instead of the usual one.
        wandb_entity: instead of the usual one.
        copy_to: a URL that records are copied to as trials end.
    """

    suite: str | None = None
    submissions: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    output: Path | None = None
    url: str | None = None
    address: str | None = None
    at_once: int | None = None
    resume: bool = False
    retry_failed: bool = False
    executor: cluster.Executor = "ray"
    studies: int | None = None
    trials: int | None = None
    clock: Clock | None = None
    seed: int | None = None
    dry_run: bool = False
    reference: bool = True
    race_reference: bool = False
    prune: Mode = "board"
    wandb: bool = False
    wandb_project: str | None = None
    wandb_entity: str | None = None
    copy_to: str | None = None

    @property
    def overrides(self) -> dict[str, object]:
        """The suite's keys that the command line gave, None for the others."""
        return {
            "submissions": list(dict.fromkeys(self.submissions)) or None,
            "workloads": list(dict.fromkeys(self.workloads)) or None,
            **{key: getattr(self, key) for key in ("studies", "trials", "clock", "seed")},
        }

    def again(self, place: str, *more: str) -> str:
        """The command that goes on with the run kept at `place`, raced as it was."""
        words = ["gradathlon", "run", "--resume", *more, "-o", place, *self._as_raced()]
        return shlex.join(words)

    def _as_raced(self) -> Iterator[str]:
        """What a plan does not keep: where trials race, which end early, who hears of them."""
        if self.executor != "ray":
            yield from ("--executor", self.executor.replace("_", "-"))
        if self.prune != "board":
            yield from ("--no-prune",) if self.prune == "none" else ("--prune", self.prune)
        if self.wandb:
            yield "--wandb"
        for name in ("address", "at_once", "wandb_project", "wandb_entity", "copy_to"):
            value = getattr(self, name)
            if value is not None and value != self.url:
                yield from (f"--{name.replace('_', '-')}", str(value))
