from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

import cluster
from cluster import faults
from cluster.spec import Finished, TrialSpec, Update
from cluster.trial import deadline
from cluster.trial.clock import Reading
from scoring.ground.cache import cache_folder
from scoring.ground.words import Budget, Resources
from scoring.records import Record, read_record, record_attempts
from workloads.contract import Stream
from workloads.errors import WorkloadError
from workloads.homeostatic.data import ShiftStream
from workloads.homeostatic.workload import Homeostatic
from workloads.lm.workload import LanguageModel
from workloads.numbered import NumberedStream

from ..conftest import METRIC, Make

pytestmark = pytest.mark.network
FRAMEWORKS = [pytest.param("adamw", id="torch"), pytest.param("adamw_jax", id="jax")]


def race(*specs: TrialSpec) -> list[tuple[Finished, Record]]:
    done = []
    for finished in cluster.run_all(specs, executor="in_process"):
        path = record_attempts(finished.spec.run, finished.spec.key)[-1]
        done.append((finished, read_record(path)))
    return done


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_a_trial_that_meets_its_target_ends_reached(make: Make, submission: str) -> None:
    ((finished, record),) = race(make(submission, target=0.55, budget=Budget(1200, 100.0)))
    assert finished.outcome.end == "reached"
    assert record.outcome == finished.outcome
    last = record.evaluations[-1]
    assert last.metrics[METRIC] >= 0.55
    assert all(e.metrics.get(METRIC, 0.0) < 0.55 for e in record.evaluations[:-1])
    assert finished.outcome.steps == last.steps
    assert 0 < last.cpu_s <= last.wall_s * 1.5


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_the_judged_metric_is_the_mean_over_the_window(make: Make, submission: str) -> None:
    ((_, record),) = race(make(submission, budget=Budget(1200, 100.0)))
    raw = [e.metrics["prequential/accuracy"] for e in record.evaluations]
    judged = [e.metrics.get(METRIC) for e in record.evaluations]
    assert judged[:3] == [None, None, None]
    assert len(judged) == 6
    for end in range(4, len(raw) + 1):
        assert judged[end - 1] == pytest.approx(sum(raw[end - 4 : end]) / 4)


def test_a_record_tells_all_that_identifies_the_trial(make: Make) -> None:
    spec = make("adamw", hyperparameters={"lr": 0.002}, seed=11)
    ((_, record),) = race(spec)
    header = record.header
    assert header.hyperparameters["lr"] == 0.002
    assert header.hyperparameters["beta2"] == 0.999, "defaults are recorded too"
    assert header.seed == 11
    assert header.source_sha256 == spec.source.sha256
    assert header.hardware["digest"]
    assert header.versions["torch"].startswith("2.13")
    assert [event.name for event in record.events]
    assert record.events[0].name == "shift"
    assert "test/accuracy" in record.outcome.extra["test"]  # type: ignore[union-attr]
    assert {"step_s_median", "step_s_p10", "step_s_p90", "evaluation_s"} <= set(
        record.outcome.extra  # type: ignore[union-attr]
    )


def test_steps_spent_end_a_trial_as_budget(make: Make) -> None:
    ((finished, record),) = race(make("sgd", target=0.99, budget=Budget(250, 100.0)))
    assert finished.outcome.end == "budget"
    assert finished.outcome.steps == 250
    assert [e.steps for e in record.evaluations] == [200, 250]
    assert "never met 0.99" in finished.outcome.reason


def test_time_spent_ends_a_trial_between_evaluations(make: Make) -> None:
    spec = make("slow", SLOW, target=0.99, budget=Budget(10_000, 0.3))
    ((finished, record),) = race(spec)
    assert finished.outcome.end == "budget"
    assert 0.3 <= finished.outcome.wall_s < 0.6
    assert not record.evaluations
    assert "0.3 s on the wall clock are spent" in finished.outcome.reason


def test_a_late_evaluation_does_not_count(make: Make) -> None:
    # The target is met from the first judged evaluation on, but only after the time is up.
    spec = make("late", LATE, target=0.0, budget=Budget(500, 1.0))
    ((finished, _),) = race(spec)
    assert finished.outcome.end == "budget"


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ndef submission(params):\n    return torch.optim.SGD(params, lr=1e6)\n",
        "import optax\ndef submission():\n    return optax.sgd(1e6)\n",
    ],
    ids=["torch", "jax"],
)
def test_nan_ends_a_trial_as_diverged(make: Make, text: str) -> None:
    ((finished, _),) = race(make("wild", text, target=0.9))
    assert finished.outcome.end == "diverged"
    assert finished.outcome.steps == 200


BROKEN = {
    "raises": (
        "def submission(params):\n    raise KeyError('oh')\n",
        "KeyError: 'oh'",
    ),
    "returns nothing": (
        "def submission(params):\n    return None\n",
        "`submission` returned None; return a torch optimizer",
    ),
    "optax from a torch file": (
        "import optax\ndef submission(params):\n    return optax.sgd(0.1)\n",
        "`submission` returned a GradientTransformationExtraArgs",
    ),
    "torch from a JAX file": (
        "def submission():\n    return 3\n",
        "`submission` returned a int; return",
    ),
    "unknown hyperparameter of the package": (
        "import torch\ndef submission(params):\n    return torch.optim.SGD(params, rate=1)\n",
        "unexpected keyword argument 'rate'",
    ),
    "raises in a step": (
        "import torch\n"
        "class Bad(torch.optim.SGD):\n"
        "    def step(self, closure=None):\n"
        "        raise ZeroDivisionError('in the step')\n"
        "def submission(params):\n    return Bad(params, lr=0.1)\n",
        "ZeroDivisionError: in the step",
    ),
    **{
        f"raises {error}": (
            "import torch\nfrom workloads.errors import WorkloadError\n"
            "class Bad(torch.optim.SGD):\n"
            "    def step(self, closure=None):\n"
            f"        raise {error}\n"
            "def submission(params):\n    return Bad(params, lr=0.1)\n",
            reason,
        )
        for error, reason in {
            "KeyboardInterrupt": "KeyboardInterrupt",
            "GeneratorExit": "GeneratorExit",
            "SystemExit(7)": "SystemExit: 7",
            "WorkloadError('mine')": "WorkloadError: mine",
        }.items()
    },
    "raises KeyboardInterrupt when built": (
        "def submission(params):\n    raise KeyboardInterrupt\n",
        "KeyboardInterrupt",
    ),
    "never looks at the batch": (
        "class Idle:\n"
        "    def init(self, params): return {}\n"
        "    def update(self, params, state, batch, problem): return state\n"
        "def submission(params):\n    return Idle()\n",
        "`update` returned without computing a loss",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_submission_fails_with_its_reason(make: Make, name: str) -> None:
    text, reason = BROKEN[name]
    spec = make("broken", text)
    after = make("adamw", budget=Budget(100, 100.0))
    (finished, record), (healthy, _) = race(spec, after)
    assert finished.outcome.end == "failed"
    assert reason in finished.outcome.reason
    assert "\n" not in finished.outcome.reason
    if "raises" in name:
        assert "broken.py" in record.outcome.extra["traceback"]  # type: ignore[union-attr]
    assert healthy.outcome.end == "budget", "the next trial is unharmed"


def test_a_record_tells_no_path_from_the_users_home_folder(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path))
    text = f"def submission(params):\n    raise OSError(2, 'nothing', '{tmp_path}/data')\n"
    ((_, record),) = race(make("broken", text))
    assert record.outcome is not None
    assert "~/data" in record.outcome.reason
    assert 'File "~/broken.py", line 2, in submission' in record.outcome.extra["traceback"]
    assert str(tmp_path) not in record.path.read_text()


@pytest.mark.parametrize("where", ["the warm-up", "step 6"])
def test_a_submission_that_never_comes_back_is_ended(
    make: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.5)
    if where == "the warm-up":
        monkeypatch.setattr(deadline, "WARM_UP_S", 5.0)
    spec = make("hung", HANGS.replace("WHEN", "0" if where == "the warm-up" else "8"))
    spec = TrialSpec(**(vars(spec) | {"budget": Budget(500, 1.0)}))
    ((finished, _),) = race(spec)
    assert finished.outcome.end == "failed"
    assert f"{where} did not come back" in finished.outcome.reason


SWALLOWS = """
import os, signal, time
class Swallows:
    calls = 0
    def init(self, params): return {}
    def update(self, params, state, batch, problem):
        problem.value_and_grad(params, batch)
        self.calls += 1
        if self.calls == 30:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
            except KeyboardInterrupt:
                pass
        return state
def submission(params):
    return Swallows()
"""


def test_an_interrupt_that_is_swallowed_ends_the_run_all_the_same(make: Make) -> None:
    spec = make("swallows", SWALLOWS, budget=Budget(1000, 100.0))
    with pytest.raises(KeyboardInterrupt):
        race(spec, make("adamw"))
    assert read_record(spec.record(0)).evaluations == ()
    assert not record_attempts(spec.run, make("adamw").key)


IN_A_CALLBACK = """
import os, signal
import jax, jax.numpy as jnp, optax
def interrupted(count):
    if int(count) == 30:
        os.kill(os.getpid(), signal.SIGINT)
def submission(lr=3e-3):
    adam = optax.adamw(lr)
    def init(params):
        return adam.init(params), jnp.zeros((), int)
    def update(gradients, state, params):
        inner, count = state
        jax.debug.callback(interrupted, count)
        updates, inner = adam.update(gradients, inner, params)
        return updates, (inner, count + 1)
    return optax.GradientTransformation(init, update)
"""


def test_an_interrupt_within_a_callback_of_jax_ends_the_run(make: Make) -> None:
    """Whatever JAX makes of it, it is no failure of the submission's."""
    spec = make("calls_jax", IN_A_CALLBACK, budget=Budget(1000, 100.0))
    with pytest.raises(KeyboardInterrupt):
        race(spec, make("adamw"))
    assert read_record(spec.record(0)).outcome is None
    assert not record_attempts(spec.run, make("adamw").key)


def test_trials_that_ended_are_not_raced_again(make: Make) -> None:
    spec = make("adamw", target=0.55, budget=Budget(1200, 100.0))
    ((first, _),) = race(spec)
    text = spec.record(0).read_text()
    news: list[Update] = []
    (again,) = cluster.run_all([spec], executor="in_process", watch=news.append)
    assert again.outcome == first.outcome
    assert spec.record(0).read_text() == text
    assert not news


def test_a_target_less_trial_can_be_given_more_steps(make: Make, tmp_path: Path) -> None:
    half = make("adamw_jax", budget=Budget(400, 100.0))
    ((first, _),) = race(half)
    assert first.outcome.steps == 400
    ((second, extended),) = race(TrialSpec(**(vars(half) | {"budget": Budget(800, 100.0)})))
    assert second.outcome.steps == 800
    ((_, whole),) = race(
        TrialSpec(**(vars(half) | {"run": tmp_path / "other", "budget": Budget(800, 100.0)}))
    )
    assert metrics(extended) == metrics(whole)


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_the_same_seed_gives_bit_identical_evaluations(
    make: Make, tmp_path: Path, submission: str
) -> None:
    specs = [make(submission, run=tmp_path / name) for name in ("one", "two")]
    (_, one), (_, two) = race(*specs)
    assert metrics(one) == metrics(two)
    ((_, other),) = race(make(submission, run=tmp_path / "three", seed=8))
    assert metrics(one) != metrics(other)


def test_both_frameworks_race_the_same_race(make: Make) -> None:
    (_, torch), (_, jax) = race(make("adamw"), make("adamw_jax"))
    assert [e.details for e in torch.events] == [e.details for e in jax.events]
    for ours, theirs in zip(torch.evaluations, jax.evaluations, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=1e-3)


def test_records_are_json_that_other_tools_read(make: Make) -> None:
    ((_, record),) = race(make("adamw"))
    for line in record.path.read_text().splitlines():
        for value in json.loads(line).get("metrics", {}).values():
            assert isinstance(value, float)
            assert math.isfinite(value)


def metrics(record: Record) -> list[tuple[int, dict[str, float]]]:
    return [(e.steps, dict(e.metrics)) for e in record.evaluations]


@pytest.mark.skipif(bool(shutil.which("nvidia-smi")), reason="this machine has an accelerator")
@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_an_accelerator_that_is_not_there_is_no_race_on_the_cpu(
    make: Make, submission: str
) -> None:
    ((finished, _),) = race(make(submission, resources=Resources(cores=1, gpus=1)))
    assert finished.outcome.end == "failed"
    assert finished.outcome.reason.startswith("a trial needs 1 accelerator(s)")
    assert "finds none" in finished.outcome.reason


SLOW = """
import time, torch

class Slow(torch.optim.SGD):
    def step(self, closure=None):
        time.sleep(0.02)
        return super().step(closure)

def submission(params):
    return Slow(params, lr=0.1)
"""
LATE = SLOW.replace("0.02", "0.0035")
HANGS = """
import torch

class Hangs(torch.optim.SGD):
    count = 0

    def step(self, closure=None):
        Hangs.count += 1
        while Hangs.count > WHEN:
            pass
        return super().step(closure)

def submission(params):
    return Hangs(params, lr=0.1)
"""


def test_code_that_is_gone_is_the_nodes_fault(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "import torch\nclass Opt(torch.optim.SGD):\n"
        "    def step(self, closure=None):\n        raise ImportError('no such module')\n"
        "def submission(params):\n    return Opt(params, lr=0.1)\n"
    )
    monkeypatch.setattr(faults, "_REMOVAL_S", 0.0)
    ((finished, _),) = race(make("raises", text))
    assert finished.outcome.end == "failed"
    assert "fault" not in finished.outcome.extra
    monkeypatch.setattr(faults, "_CODE", tmp_path / "gone.py")
    ((finished, _),) = race(make("raises", text, run=tmp_path / "again"))
    assert finished.outcome.extra["fault"] == faults.NODE
    assert "code is gone" in finished.outcome.reason


@pytest.mark.parametrize("where", ["stream", "evaluation"])
@pytest.mark.parametrize("error", [OSError("stale file handle"), WorkloadError("x.nc: damaged")])
def test_data_that_cannot_be_read_are_the_nodes_fault(
    make: Make, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    owner = ShiftStream if where == "stream" else Homeostatic
    monkeypatch.setattr(owner, "next" if where == "stream" else "evaluate", broken)
    ((finished, _),) = race(make("sgd", budget=Budget(200, 100.0)))
    assert finished.outcome.extra == {"fault": "node"}
    assert finished.outcome.reason == f"the data cannot be read: {error}"


def test_threads_that_make_batches_ahead_are_nothing_that_a_submission_left(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make("sgd", workload="lm-toy-v2", budget=Budget(2, 100.0))
    monkeypatch.setattr(LanguageModel, "stream", ahead)
    ((finished, _),) = race(spec)
    assert "leftover_threads" not in finished.outcome.extra


def ahead(workload: LanguageModel, seed: int) -> Stream:
    return NumberedStream(lambda _, number: workload.batch_like(number), seed, prefetch=2)


@pytest.mark.parametrize("clock", ["wall", "cpu", "steps", "paired"])
@pytest.mark.parametrize("spent_s", [0.0, 50.0, 100.0, 1000.0])
def test_an_evaluation_that_the_budget_ends_with_is_waited_for(
    make: Make, clock: str, spent_s: float
) -> None:
    """Of games played for minutes, say, nobody hears before they are over."""
    spec = make("sgd", clock=clock, budget=Budget(500, 100.0))
    left_s = deadline.allowed_s(spec, Reading(spent_s, spent_s))
    silence_s = deadline.silence_s(spec, training=True, wall_s=spent_s)
    assert silence_s >= left_s + deadline.GRACE_S + deadline.EVALUATION_S


CHANGES = """
import time, torch

class Changes(torch.optim.SGD):
    n = 0
    def step(self, closure=None):
        Changes.n += 1
        if Changes.n > 4:
            time.sleep(0.002)
        if Changes.n == 390:
            torch.set_default_dtype(torch.float64)
        return super().step(closure)

def submission(params):
    return Changes(params, lr=0.01)
"""


def test_what_fails_at_an_evaluation_is_told_with_the_clock_of_its_last_step(make: Make) -> None:
    ((finished, record),) = race(make("changes", CHANGES))
    assert finished.outcome.end == "failed"
    assert "default dtype" in finished.outcome.reason
    (first,) = record.evaluations
    assert (first.steps, finished.outcome.steps) == (200, 400)
    assert finished.outcome.wall_s > first.wall_s + 0.4
