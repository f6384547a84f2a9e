from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.cores import available_cores, check_locks, hold_cores, lock_cores
from cluster.spec import ClusterError
from cluster.trial import step_time
from scoring.ground.words import Resources

BEFORE = os.sched_getaffinity(0)
spawn = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of the test's own: a race on this machine may hold the real ones."""
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))


def _hold(held: Any, release: EventType) -> None:
    with hold_cores(1) as cores:
        held.put((cores, sorted(os.sched_getaffinity(0))))
        release.wait(60)


def _start() -> tuple[Any, Any, EventType]:
    held, release = spawn.Queue(), spawn.Event()
    process = spawn.Process(target=_hold, args=(held, release))
    process.start()
    return process, held, release


def test_two_processes_never_hold_one_core() -> None:
    if len(available_cores()) < 2:
        pytest.skip("needs two cores")
    one, two = _start(), _start()
    first, second = one[1].get(timeout=60), two[1].get(timeout=60)
    assert first[0] != second[0]
    assert first[0] == first[1], "the process is pinned to what it holds"
    for process, _, release in (one, two):
        release.set()
        process.join(10)


def test_a_core_is_free_again_when_its_holder_is_killed() -> None:
    before = os.sched_getaffinity(0)
    process, held, _ = _start()
    (core,) = held.get(timeout=60)[0]
    os.sched_setaffinity(0, {core})
    try:
        waited: list[float] = []
        start = time.monotonic()
        threading.Timer(1.0, lambda: os.kill(process.pid, signal.SIGKILL)).start()
        with hold_cores(1, lambda: waited.append(time.monotonic() - start)) as cores:
            assert cores == [core]
            assert time.monotonic() - start >= 0.9
        assert len(waited) == 1
    finally:
        os.sched_setaffinity(0, before)
        process.join(10)


def test_affinity_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with hold_cores(1) as cores:
        assert os.sched_getaffinity(0) == set(cores)
    assert os.sched_getaffinity(0) == before


def test_more_cores_than_the_machine_has_is_an_error() -> None:
    with pytest.raises(ClusterError, match="needs 4096 cores"), hold_cores(4096):
        pass


def test_a_forked_child_does_not_keep_its_parents_core() -> None:
    began, begin = os.pipe()
    with hold_cores(1) as cores:
        child = os.fork()
        if not child:
            os.write(begin, b"1")
            time.sleep(60)
            os._exit(0)
    try:
        os.read(began, 1)  # it lets go when it begins
        os.sched_setaffinity(0, cores)
        with hold_cores(1, lambda: pytest.fail("the child holds the core")) as again:
            assert again == cores
    finally:
        os.sched_setaffinity(0, BEFORE)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(began)
        os.close(begin)


def test_a_folder_of_locks_is_made_and_one_that_cannot_be_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "a" / "b"))
    with hold_cores(1):
        pass
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "file"))
    with (
        pytest.raises(ClusterError, match=r"file/core-\d+.lock: cannot be locked: Not a directory"),
        hold_cores(1),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_folder_whose_files_cannot_be_locked_is_told_in_a_line(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    for ask in (check_locks, lambda: lock_cores(1, contextlib.ExitStack())):
        with pytest.raises(ClusterError) as told:
            ask()
        assert "\n" not in str(told.value)
        assert f"{tmp_path}/locks/core-" in str(told.value)
        assert f"cannot be locked: {os.strerror(number)}; set GRADATHLON_CORE" in str(told.value)


def test_who_looks_whether_cores_can_be_locked_holds_none() -> None:
    check_locks()
    with hold_cores(len(available_cores())):
        check_locks()


def test_the_time_of_a_step_is_taken_on_the_cores_of_all_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[int] = []

    @contextlib.contextmanager
    def hold(count: int) -> Iterator[list[int]]:
        held.append(count)
        raise ClusterError("enough is known")
        yield []

    monkeypatch.setattr(step_time, "hold_cores", hold)
    monkeypatch.setattr(step_time, "set_environment", lambda resources: None)
    spec: Any = SimpleNamespace(resources=Resources(cores=2, ranks=3))
    step_time._answer(None, None, spec)  # type: ignore[arg-type]
    assert held == [6]
