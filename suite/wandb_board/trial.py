"""One trial as a W&B run: what of its record becomes config, metrics, summary and tags."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.ground.clocks import CLOCKS, Moment
from scoring.ground.ends import ENDS
from scoring.ground.words import is_reference
from scoring.records import Evaluation, EventLine, Header, Line, Outcome, attempt_of, decode
from scoring.run_file import TEXTS, RunFile
from scoring.tail import Tail
from scoring.times import time_to_result
from suite.wandb_board.session import Identity, Session
from suite.wandb_board.words import artifact_name

if TYPE_CHECKING:
    import wandb

SUPERSEDED = "superseded"
"""The end of an attempt that another one goes on with."""
_LONGEST_TEXT = 500


class TrialLog:
    """Hands one record on to W&B, as far as it has been written; one thread at a time."""

    def __init__(
        self, session: Session, run: Path, plan: RunFile | None, path: Path, id: str
    ) -> None:
        self.tail = Tail(path)
        self.id = id
        self.busy = False
        """Whether some thread hands it on now."""
        self.superseded = False
        """Whether another attempt goes on with the trial."""
        self.done = False
        self.whole = False
        """Whether it was handed on to its outcome."""
        self._session = session
        self._run = run
        self._plan = plan
        self._header: Header | None = None
        self._evaluations: list[Evaluation] = []
        self._run_there: wandb.Run | None = None
        """Its W&B run, begun with its header."""

    def follow(self) -> None:
        """Hand on what is new; the trial's end ends its W&B run.

        Raises:
            ValueError: a line that no record has.
            OSError: the record cannot be read.
        """
        for line in [decode(text.decode()) for text in self.tail.lines()]:
            self._take(line)

    def leave(self, end: str) -> None:
        """End the W&B run of a trial that has no outcome, if there is one."""
        if self._run_there is not None and not self.done:
            self._online.summary.update({"end": end, "reached": False})
            self._finish(end, exit_code=1)
        self.done = True

    @property
    def _online(self) -> wandb.Run:
        if self._run_there is None:
            raise ValueError("its first line is not a header")
        return self._run_there

    def _take(self, line: Line) -> None:
        if isinstance(line, Header):
            self._begin(line)
        elif isinstance(line, Evaluation):
            self._evaluations.append(line)
            values = {**_readings(line), **line.metrics}
            self._online.log(values, step=line.steps, commit=True)  # now, not with the next one
        elif isinstance(line, EventLine):
            self._online.log({f"event/{line.name}": 1}, step=line.steps)
        else:
            self._end(line)

    def _begin(self, header: Header) -> None:
        self._header = header
        attempt = attempt_of(self.tail.path)
        name = f"{header.submission} {header.workload} s{header.study} t{header.trial}"
        suite = [self._plan.name] if self._plan else []
        identity = Identity(
            id=self.id,
            name=f"{name} (attempt {attempt})" if attempt else name,
            group=f"{header.submission} on {header.workload}",
            job_type="reference" if is_reference(header.submission) else "trial",
            tags=[header.workload, header.submission, header.framework, header.ruleset, *suite],
        )
        self._run_there = self._session.begin(identity, self._config(header, attempt))
        _define(self._run_there, header)

    def _config(self, header: Header, attempt: int) -> dict[str, object]:
        target = header.target
        return {
            "run": self._run.absolute().name,
            "workload": header.workload,
            "submission": header.submission,
            "framework": header.framework,
            "study": header.study,
            "trial": header.trial,
            "attempt": attempt,
            "seed": header.seed,
            "ruleset": header.ruleset,
            "clock": header.clock,
            "hyperparameters": dict(header.hyperparameters),
            "target": {"metric": target.metric, "goal": target.goal, "value": target.value}
            if target
            else None,
            "budget": dataclasses.asdict(header.budget),
            "settings": _settings(header),
            "settings_sha256": header.settings_sha256,
            "data_sha256": header.data_sha256,
            "source_sha256": header.source_sha256,
            "hardware": dict(header.hardware),
            "versions": dict(header.versions),
        }

    def _log_text(self) -> None:
        header = self._header
        assert header is not None
        path = _text_of(self._run, self._plan, header)
        if path is None:
            return
        import wandb

        artifact = wandb.Artifact(
            artifact_name("submission", header.submission),
            type="submission",
            metadata={"sha256": header.source_sha256},
        )
        # The run's own copy never changes, so that no other is needed.
        artifact.add_file(str(path), name=path.name, policy="immutable")
        self._online.log_artifact(artifact)

    def _end(self, outcome: Outcome) -> None:
        assert self._header is not None
        times = time_to_result(self._header, self._evaluations)
        summary = {f"time_to_result/{name}": time for name, time in times.items()}
        self._online.summary.update(
            {
                "end": outcome.end,
                "reason": _last_line(outcome.reason),
                "reached": ENDS[outcome.end].met,
                **{f"ended_at/{name}": value for name, value in _finite(outcome).items()},
                **{name: time for name, time in summary.items() if math.isfinite(time)},
                **{f"outcome/{name}": one for name, one in outcome.extra.items() if _short(one)},
            }
        )
        self._finish(outcome.end, exit_code=int(ENDS[outcome.end].fails_run))
        self.whole = True

    def _finish(self, end: str, exit_code: int) -> None:
        self._online.tags = (*(self._online.tags or ()), end)
        # Last, since W&B asks its server about it, and waits.
        with contextlib.suppress(Exception):
            self._log_text()
        self._session.end(self._online, exit_code)
        self.done = True


def _last_line(text: str) -> str:
    """Of a traceback, what was raised."""
    lines = text.strip().splitlines()
    return lines[-1].strip()[:_LONGEST_TEXT] if lines else ""


def _short(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return isinstance(value, bool | int | float)


def _define(run: wandb.Run, header: Header) -> None:
    """Every metric against the official clock, unless a reader chooses another."""
    for name in CLOCKS:
        run.define_metric(f"clock/{name}", hidden=True)
    official = f"clock/{header.clock}"
    run.define_metric("*", step_metric=official)
    if header.target is not None:
        goal = header.target.goal
        run.define_metric(header.target.metric, step_metric=official, summary=f"{goal},last")


def _finite(moment: Moment) -> dict[str, float]:
    readings = {name: clock.read(moment) for name, clock in CLOCKS.items()}
    return {name: value for name, value in readings.items() if math.isfinite(value)}


def _readings(moment: Moment) -> dict[str, float]:
    return {f"clock/{name}": value for name, value in _finite(moment).items()}


def _settings(header: Header) -> Mapping[str, object]:
    """The workload's numbers; none where they are not this machine's."""
    import workloads
    from workloads.errors import WorkloadError

    try:
        workload = workloads.get(header.workload)
    except WorkloadError:
        return {}
    if workload.settings_sha256 != header.settings_sha256:
        return {}
    plain: dict[str, object] = json.loads(workload.settings.model_dump_json())
    return plain


def _text_of(run: Path, plan: RunFile | None, header: Header) -> Path | None:
    """The run's copy of the submission's text."""
    if plan is None:
        return None
    if is_reference(header.submission):
        course = plan.workloads.get(header.workload)
        entrant = course.references.get(header.framework) if course else None
        file = entrant.file if entrant else None
    else:
        raced = plan.submissions.get(header.submission)
        file = raced.file if raced else None
    path = run.absolute() / TEXTS / file if file else None
    return path if path is not None and path.is_file() else None
