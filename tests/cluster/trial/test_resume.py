"""Crash windows: whatever a killed trial left behind, the next attempt ends as it should."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster
from cluster import checkpoint, hardware
from cluster.attempts import finished, saved_state
from cluster.run_lock import drive, drive_throughout, is_driven
from cluster.spec import ClusterError, TrialSpec, Update
from cluster.trial import deadline
from cluster.trial.loop import run_trial
from cluster.trial.settings import with_settings
from scoring.ground.words import Budget, StateDict
from scoring.records import Outcome, Record, read_record, record_attempts
from workloads.contract import Workload

from ..conftest import Make
from .test_trial import FRAMEWORKS, SLOW, metrics

pytestmark = pytest.mark.network


def race(spec: TrialSpec) -> tuple[Outcome, Record]:
    (done,) = cluster.run_all([spec], executor="in_process")
    return done.outcome, read_record(record_attempts(spec.run, spec.key)[-1])


def forget_outcome(spec: TrialSpec) -> None:
    """As if the process had been killed just before its last line."""
    path = record_attempts(spec.run, spec.key)[-1]
    lines = path.read_text().splitlines(keepends=True)
    assert '"kind": "outcome"' in lines[-1]
    path.write_text("".join(lines[:-1]))


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_killed_between_the_last_checkpoint_and_the_outcome(make: Make, submission: str) -> None:
    spec = make(submission, budget=Budget(400, 100.0))
    first, record = race(spec)
    forget_outcome(spec)
    again, resumed = race(spec)
    assert (again.end, again.steps, again.wall_s) == ("budget", 400, first.wall_s)
    assert metrics(resumed) == metrics(record), "no evaluation twice"


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_killed_while_extended_and_then_asked_for_the_shorter_budget(
    make: Make, submission: str
) -> None:
    short = make(submission, budget=Budget(200, 100.0))
    longer = dataclasses.replace(short, budget=Budget(400, 100.0))
    race(short)
    _, whole = race(longer)
    forget_outcome(longer)
    outcome, _ = race(short)
    assert outcome.end == "budget"
    assert race(longer)[0].steps == 400
    assert metrics(race(longer)[1]) == metrics(whole)


def test_sums_are_of_the_steps_since_the_last_evaluation(make: Make) -> None:
    """A budget that is no whole number of periods, extended: a short window, then a short one."""
    race(make(budget=Budget(300, 100.0)))
    _, record = race(make(budget=Budget(400, 100.0)))
    losses = {line.steps: line.metrics["train/loss"] for line in record.evaluations}
    _, whole = race(make(study=1, budget=Budget(400, 100.0)))
    last = whole.evaluations[-1].metrics["train/loss"]
    assert (losses[300] + losses[400]) / 2 == pytest.approx(last)


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"hyperparameters": {"lr": 0.5}}], ids=["seed", "hyperparameters"]
)
def test_another_trials_leavings_in_the_same_place_are_not_its_own(
    make: Make, change: dict[str, object]
) -> None:
    before, after = make(budget=Budget(200, 100.0)), make(budget=Budget(200, 100.0), **change)
    _, old = race(before)
    assert finished(before) is not None
    assert finished(after) is None
    longer = dataclasses.replace(after, budget=Budget(400, 100.0))
    _, record = race(longer)
    alone = dataclasses.replace(longer, study=1)
    assert metrics(record) == metrics(race(alone)[1])
    assert metrics(record)[0] != metrics(old)[0]


@pytest.mark.parametrize("submission", FRAMEWORKS)
def test_a_trial_that_goes_on_holds_no_second_copy_of_its_weights(
    make: Make, submission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take more memory than it did before it was killed, and be ended for that."""
    race(make(submission, budget=Budget(200, 100.0)))
    loaded: list[weakref.ref[np.ndarray[Any, Any]]] = []
    load = checkpoint.load

    def noted(path: Path) -> StateDict:
        state = load(path)
        loaded.extend(map(weakref.ref, state["learner"]["weights"].values()))
        return state

    monkeypatch.setattr(checkpoint, "load", noted)
    news = run_trial(make(submission, budget=Budget(400, 100.0)))
    while next(news).phase != "training":  # type: ignore[union-attr]
        pass
    gc.collect()
    assert loaded
    assert not [one for one in loaded if one() is not None]
    news.close()  # type: ignore[attr-defined]


def test_changed_source_starts_afresh(make: Make) -> None:
    text = "import torch\ndef submission(params):\n    return torch.optim.SGD(params, lr=RATE)\n"
    spec = make("mine", text.replace("RATE", "0.1"), budget=Budget(200, 100.0))
    race(spec)
    changed = make("mine", text.replace("RATE", "0.2"), budget=Budget(200, 100.0))
    assert finished(changed) is None
    assert race(changed)[1].header.source_sha256 == changed.source.sha256


def test_changed_numbers_of_the_workload_start_afresh(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(budget=Budget(200, 100.0))
    before = race(spec)[1].header.settings_sha256
    monkeypatch.setattr(Workload, "settings_sha256", "0" * 64)
    assert before != "0" * 64
    assert finished(spec) is None
    assert race(spec)[1].header.settings_sha256 == "0" * 64


def test_a_clock_is_never_continued_on_other_hardware(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(budget=Budget(200, 100.0))
    race(spec)
    forget_outcome(spec)
    assert saved_state(spec) is not None
    other = hardware.fingerprint(spec.resources) | {"digest": "other"}
    monkeypatch.setattr(hardware, "fingerprint", lambda resources: other)
    assert saved_state(spec) is None


def test_a_damaged_checkpoint_is_as_good_as_none(make: Make) -> None:
    spec = make(budget=Budget(200, 100.0))
    _, record = race(spec)
    forget_outcome(spec)
    spec.checkpoint.write_bytes(spec.checkpoint.read_bytes()[:200])
    outcome, resumed = race(spec)
    assert outcome.end == "budget"
    assert metrics(resumed) == metrics(record)


def test_slow_steps_do_not_end_a_race_by_steps(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its seconds spent, a stretch may still take longer than the grace."""
    monkeypatch.setattr(deadline, "GRACE_S", 0.2)
    text = SLOW.replace("0.02", "0.005")
    outcome, _ = race(make("slow", text, clock="steps", budget=Budget(400, 0.8)))
    assert (outcome.end, outcome.steps) == ("budget", 400)


def test_paths_that_read_alike_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, {"a/b": np.zeros(2), "a": {"b": np.ones(2)}})
    state = checkpoint.load(path)
    assert (state["a/b"].tolist(), state["a"]["b"].tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_numpy_scalars_come_back_as_scalars(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, {"lr": np.float64(0.3), "n": np.int32(2), "a": np.array(1.0)})
    state = checkpoint.load(path)
    assert [type(state[key]) for key in state] == [np.float64, np.int32, np.ndarray]


NO_FLEET: Any = None
"""Nothing is sent off."""


def test_an_outcome_that_was_written_survives_the_death_of_its_process(make: Make) -> None:
    from cluster.executors.race import MAX_SETBACKS, Race, _Running

    spec = make(budget=Budget(200, 100.0))
    outcome, _ = race(spec)
    lost = _Running(spec, setbacks=MAX_SETBACKS - 1, record=spec.record(0))
    (done,) = Race([], lambda news: None, 2, NO_FLEET)._set_back(lost, "its supervisor died")
    assert done.outcome == outcome
    assert len(record_attempts(spec.run, spec.key)) == 1


def test_progress_forgives_a_trial_its_nodes_setbacks(make: Make) -> None:
    from cluster.executors.race import MAX_SETBACKS, Race, _Running

    spec = make()
    here, running = Race([], lambda news: None, 2, NO_FLEET), _Running(spec)
    for steps in range(5):  # five preemptions, each after some progress
        here._hear(running, Update(spec.key, "training", steps + 1))
        assert not list(here._set_back(running, "its process was killed by SIGKILL"))
    left = [list(here._set_back(running, "no data")) for _ in range(MAX_SETBACKS - 1)]
    ((last,),) = [ended for ended in left if ended]
    assert last.outcome.end == "failed"
    assert last.outcome.extra["fault"] == "node"
    assert "no data" in last.outcome.reason
    assert finished(spec) is None, "a resumed run races it again"


def test_a_damaged_record_blocks_nothing(make: Make) -> None:
    spec = make(budget=Budget(200, 100.0))
    _, record = race(spec)
    lines = record.path.read_text().splitlines()
    lines[1] = "\0" * 40
    record.path.write_text("\n".join(lines) + "\n")
    assert finished(spec) is None
    outcome, again = race(spec)
    assert outcome.end == "budget"
    assert again.path != record.path
    assert metrics(again) == metrics(record)


def test_a_trial_goes_on_after_a_record_that_was_moved_out_of_the_way(make: Make) -> None:
    """As the message about a damaged one advises."""
    spec = make(budget=Budget(200, 100.0))
    race(spec)
    forget_outcome(spec)
    race(spec)
    forget_outcome(spec)
    spec.record(0).unlink()
    assert race(spec)[0].end == "budget"
    assert record_attempts(spec.run, spec.key) == [spec.record(1), spec.record(2)]


def test_a_failed_trial_is_raced_again_when_asked(make: Make) -> None:
    flag = make().run.parent / "fails"
    flag.touch()
    text = (
        "import os, torch\ndef submission(params):\n"
        f"    assert not os.path.exists({str(flag)!r})\n"
        "    return torch.optim.SGD(params, lr=0.1)\n"
    )
    spec = make("moody", text, budget=Budget(200, 100.0))
    assert race(spec)[0].end == "failed"
    flag.unlink()
    assert race(spec)[0].end == "failed", "not unless asked"
    (done,) = cluster.run_all([spec], executor="in_process", retry_failed=True)
    assert done.outcome.end == "budget"


def test_two_drivers_never_race_one_run(make: Make) -> None:
    spec = make(budget=Budget(200, 100.0))
    with drive(spec.run), pytest.raises(ClusterError, match="is already racing this run") as error:
        race(spec)
    assert str(os.getpid()) in str(error.value)
    assert race(spec)[0].end == "budget", "the folder is free again"


def test_a_procedure_races_in_a_folder_that_it_holds_throughout(make: Make) -> None:
    spec = make(budget=Budget(200, 100.0))
    with drive_throughout(spec.run):
        assert race(spec)[0].end == "budget"
        assert is_driven(spec.run), "between its stages, too"
    assert not is_driven(spec.run)
    with drive(spec.run), pytest.raises(ClusterError, match="is already racing this run"):
        race(spec)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_files_cannot_be_locked_a_run_goes_on_and_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    told: list[str] = []
    with drive(tmp_path / "run", told.append):
        assert is_driven(tmp_path / "run")
    (line,) = told
    assert line.startswith(f"{tmp_path}/run/driver.lock: cannot be locked: {os.strerror(number)}; ")
    assert not (tmp_path / "run").exists(), "nothing was put there"


def test_where_cores_cannot_be_locked_no_trial_begins(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    told: list[str] = []
    spec = make()
    with pytest.raises(
        ClusterError, match=r"core-\d+\.lock: cannot be locked: No locks available;"
    ):
        list(cluster.run_all([spec], tell=told.append))
    assert "it would go undetected" in told[0]
    assert not spec.run.exists()


@pytest.mark.parametrize("kind", ["file", "loop", "below"])
def test_what_can_be_no_folder_of_a_run_is_told(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    folder = tmp_path / ("file/below" if kind == "below" else kind)
    with pytest.raises(ClusterError, match="cannot be used as a run folder"), drive(folder):
        pass


def test_a_checkpoint_that_cannot_be_written_ends_no_trial(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, state: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    outcome, record = race(make(budget=Budget(400, 100.0)))
    assert outcome.end == "budget"
    warnings = [event for event in record.events if event.name == "warning"]
    assert len(warnings) == 1, "told once"
    assert "No space left" in warnings[0].details["text"]


def test_a_flipped_bit_in_a_checkpoint_starts_the_trial_anew(make: Make) -> None:
    spec = make(budget=Budget(200, 100.0))
    _, record = race(spec)
    forget_outcome(spec)
    data = bytearray(spec.checkpoint.read_bytes())
    data[-5] ^= 1
    spec.checkpoint.write_bytes(data)
    assert saved_state(spec) is None
    assert metrics(race(spec)[1]) == metrics(record)


def test_a_workload_of_other_numbers_is_the_nodes_fault(make: Make) -> None:
    spec = with_settings(make(budget=Budget(200, 100.0)))
    other = {**spec.settings, "batch_size": 99}
    changed = dataclasses.replace(spec, settings=other, settings_sha256="another")
    outcome, _ = race(changed)
    assert outcome.extra["fault"] == "node"
    assert "batch_size" in outcome.reason
    assert "99" in outcome.reason


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_kept_lies_in_memory_as_it_did(tmp_path: Path, dtype: str) -> None:
    """A product's sums follow that order: another one resumes at other bits."""
    import torch

    from cluster.learners.state_torch import to_numpy, to_torch

    kind = getattr(torch, dtype)
    tensors = {
        "transposed": torch.randn(5, 3).to(kind).t(),
        "plain": torch.randn(2, 3, 4).to(kind),
        "turned": torch.randn(2, 3, 4).to(kind).permute(2, 0, 1),
        "sliced": torch.randn(6, 4).to(kind)[::2],
        "one": torch.tensor(1.5).to(kind),
        "empty": torch.zeros(0, 3).to(kind),
    }
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, {name: to_numpy(value, name) for name, value in tensors.items()})
    for name, value in checkpoint.load(path).items():
        again = to_torch(value, torch.device("cpu"))
        assert again.dtype == kind
        assert torch.equal(again, tensors[name])
        if name not in ("sliced", "empty"):
            assert again.stride() == tensors[name].stride(), name


def test_an_optimizer_within_a_state_keeps_its_types() -> None:
    import torch

    from cluster.learners.state_torch import into_objects, to_numpy, to_torch

    def made() -> torch.optim.Optimizer:
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([parameter], lr=0.1)
        optimizer.state[parameter]["short"] = torch.full((3,), 1.25, dtype=torch.bfloat16)
        return optimizer

    cpu = torch.device("cpu")
    saved = to_torch(to_numpy({"optimizer": made()}, "state"), cpu)
    (kept,) = into_objects(saved, {"optimizer": made()})["optimizer"].state.values()
    assert kept["short"].dtype == torch.bfloat16
