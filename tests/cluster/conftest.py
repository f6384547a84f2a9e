from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.spec import TrialSpec
from scoring.ground.words import Budget, Target
from submissions.source import find

WORKLOAD = "homeostatic-toy-v3"
METRIC = "prequential/accuracy_mean4"
Make = Callable[..., TrialSpec]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Builds trials of the quickest workload; whatever is not said is a short, target-less run."""

    def build(submission: str = "adamw", text: str | None = None, **changes: object) -> TrialSpec:
        word = submission
        if text is not None:
            path = tmp_path / f"{submission}.py"
            path.write_text(text)
            word = str(path)
        target = changes.pop("target", None)
        settings: dict[str, object] = {
            "run": tmp_path / "run",
            "workload": WORKLOAD,
            "submission": submission,
            "source": find(word),
            "hyperparameters": {},
            "study": 0,
            "trial": 0,
            "seed": 7,
            "target": None if target is None else Target(METRIC, "max", target),  # type: ignore[arg-type]
            "budget": Budget(500, 100.0),
        }
        return TrialSpec(**(settings | changes))  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="module")
def started_ray() -> Iterator[None]:
    """A local Ray, as `run_all` starts one."""
    from cluster.executors.ray_session import ray_session

    with ray_session(None):
        yield


@pytest.fixture
def one_ray(started_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests of a module race in one Ray: its start takes longer than their trials."""
    from cluster.executors import ray_executor

    monkeypatch.setattr(ray_executor, "ray_session", lambda address: contextlib.nullcontext())
