"""Workloads that have targets, and a cluster that writes records without training."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import workloads
from cluster.attempts import finished as ended_before
from cluster.attempts import header_of
from cluster.spec import Finished, Stop, TrialSpec, Update
from scoring.ground.limit import Limit
from scoring.records import Evaluation, Outcome, Writer, record_attempts
from suite.cli import main
from workloads.config import Race, Reference

HARDWARE = {"cpu": "Test CPU", "cores": 1, "digest": "digest-a"}
VERSIONS = {"gradathlon": "0.0", "commit": "0123456789ab"}
REFERENCES = {
    "torch": Reference(submission="nadamw", hyperparameters={"lr": 0.004}),
    "jax": Reference(submission="nadamw_jax", hyperparameters={"lr": 0.004}),
}


def race(**changes: Any) -> Race:
    given = {"target": 2.5, "budget": Limit(steps=400, seconds=20.0), "reference": REFERENCES}
    return Race(**(given | changes))


@pytest.fixture
def raced(monkeypatch: pytest.MonkeyPatch) -> dict[str, Race]:
    """Every workload has a target, and entries put into the mapping replace the common one."""
    special: dict[str, Race] = {}
    real = workloads.get

    def get(text: str) -> Any:
        workload = real(text)
        workload.race = special.get(text, race())
        workload.fetch = lambda: None  # type: ignore[method-assign]
        # The stand-in's trials end where they meet it.
        workload.metric = dataclasses.replace(workload.metric, held=None)
        return workload

    monkeypatch.setattr(workloads, "get", get)
    return special


class Told:
    """Writes evaluations of a trial whose judged values are given, with what they are means of."""

    def __init__(self, spec: TrialSpec, writer: Writer) -> None:
        assert spec.target is not None
        self._metric, self._judged = workloads.get(spec.workload).metric, spec.target.metric
        self._writer = writer
        self._values: list[float] = []

    def write(self, steps: int, seconds: float, value: float, paired: float | None = None) -> None:
        name, window = self._metric.name, self._metric.window
        if window > 1 and not self._values:
            for number in range(1, window):
                at = round(steps * number / window)
                early = Evaluation(at, 0.0, 0.0, {name: value}, None if paired is None else 0.0)
                self._writer.write(early)
            self._values = [value] * (window - 1)
        metrics = {self._judged: value}
        if window > 1:
            self._values.append(window * value - sum(self._values[1 - window :]))
            metrics = {name: self._values[-1], **metrics}
        self._writer.write(Evaluation(steps, seconds, seconds, metrics, paired))


class FakeCluster:
    """Stands in for `cluster.run_all`: trials end at once, as `end_of` says."""

    def __init__(self) -> None:
        self.asked: list[TrialSpec] = []
        self.trained: list[TrialSpec] = []
        self.executors: list[tuple[str, str | None, int | None]] = []
        self.end_of: Callable[[TrialSpec], str] = lambda spec: "reached"
        self.before: Callable[[TrialSpec], None] = lambda spec: None
        self.cpu_s = 5.0
        self.data = ""
        self.extra: dict[str, Any] = {}
        self.step_s: float | None = 0.05
        self.paced: list[tuple[str, int]] = []

    def run_all(
        self,
        specs: Sequence[TrialSpec],
        *,
        executor: str,
        address: str | None,
        at_once: int | None,
        watch: Any,
        retry_failed: bool = False,
        limits: Callable[[TrialSpec], Stop | None] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Iterator[Finished]:
        self.asked = list(specs)
        self.executors.append((executor, address, at_once))
        for spec in specs:
            outcome = ended_before(spec)
            if outcome is None:
                self.before(spec)
                spec = dataclasses.replace(spec, stop=limits(spec) if limits else None)
                watch(Update(spec.key, "training", 100, 1.0, 3.0))
                outcome = self.train(spec)
            yield Finished(spec, outcome)

    def pace(self, spec: TrialSpec, beside: int) -> float | None:
        self.paced.append((spec.submission, beside))
        return self.step_s

    def train(self, spec: TrialSpec) -> Outcome:
        self.trained.append(spec)
        assert spec.target is not None
        writer = Writer(spec.record(len(record_attempts(spec.run, spec.key))))
        head = header_of(spec, [], self.data)
        end = self.end_of(spec)
        value = spec.target.value if end == "reached" else float("nan")
        reason = "as\nasked" if end == "failed" else "as asked"
        paired = 90.0 if spec.pace else None
        extra = {"step_s_median": 0.05, **self.extra}
        outcome = Outcome(end, 100, 5.0, self.cpu_s, reason, extra, paired)  # type: ignore[arg-type]
        writer.write(head)
        metric = workloads.get(spec.workload).metric
        for number in range(1, metric.window):  # a mean needs as many values
            part = number / metric.window
            before = Evaluation(round(100 * part), 0.0, 0.0, {metric.name: value}, paired and 0.0)
            writer.write(before)
        judged = {metric.name: value, spec.target.metric: value}
        writer.write(Evaluation(100, 5.0, self.cpu_s, judged, paired))
        writer.write(outcome)
        writer.close()
        return outcome


@pytest.fixture
def fake(raced: dict[str, Race], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeCluster:
    """No training, no look at the hardware, a cache, a working folder and a demo of its own."""
    import cluster.hardware
    from suite import config

    suites = shutil.copytree(config.FOLDER, tmp_path / ".suites")
    shutil.copy(Path(__file__).with_name("demo.yaml"), suites)
    monkeypatch.setattr(config, "FOLDER", suites)
    stand_in = FakeCluster()
    monkeypatch.setattr(cluster, "run_all", stand_in.run_all)
    monkeypatch.setattr(cluster.hardware, "fingerprint", lambda resources: HARDWARE)
    monkeypatch.setattr(cluster.hardware, "versions", lambda: VERSIONS)
    monkeypatch.setattr("suite.run.seconds_a_step", stand_in.pace)
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return stand_in


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """The command line in this process: `invoke("run", "demo")`; the result of `CliRunner`."""

    def call(*words: str) -> Any:
        result = CliRunner().invoke(main, list(words), prog_name="gradathlon")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def suite_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the text of a suite's YAML file, and gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Neither this machine's W&B account nor its folders, nor what W&B keeps in a process."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home" / name.lower()))
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
