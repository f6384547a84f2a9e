from __future__ import annotations

import time

import pytest

from cluster.trial.clock import Clock, Reading


def test_only_time_between_start_and_stop_is_charged() -> None:
    clock = Clock(lambda: None)
    clock.start()
    time.sleep(0.02)
    first = clock.stop()
    time.sleep(0.05)
    assert clock.read() == first
    assert 0.02 <= first.wall_s < 0.05
    assert first.cpu_s < 0.02  # sleeping is no work


def test_the_barrier_is_passed_before_the_clock_stops_and_before_it_starts() -> None:
    seen: list[str] = []

    def slow_device() -> None:
        seen.append("barrier")
        time.sleep(0.03)

    clock = Clock(slow_device)
    clock.start()
    assert seen == ["barrier"]
    assert clock.read().wall_s < 0.02  # work queued before the start is not charged
    assert clock.stop().wall_s >= 0.03  # work queued while running is


def test_a_resumed_clock_goes_on_from_its_checkpoint() -> None:
    clock = Clock(lambda: None, Reading(12.5, 11.0))
    assert clock.read() == Reading(12.5, 11.0)
    clock.start()
    assert clock.stop().wall_s >= 12.5


def test_readings_never_go_back() -> None:
    clock = Clock(lambda: None)
    last = Reading()
    for _ in range(200):
        clock.start()
        while_running = clock.read()
        stopped = clock.stop()
        assert last.wall_s <= while_running.wall_s <= stopped.wall_s
        assert last.cpu_s <= while_running.cpu_s <= stopped.cpu_s
        last = stopped


def test_replacing_the_time_module_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda: None)
    clock.start()
    for name in ("perf_counter", "perf_counter_ns", "monotonic", "process_time_ns", "time"):
        monkeypatch.setattr(time, name, lambda: 0)
    sum(i * i for i in range(300_000))
    reading = clock.stop()
    assert reading.wall_s > 0.005
    assert reading.cpu_s > 0.005


def test_misuse_is_an_error() -> None:
    clock = Clock(lambda: None)
    with pytest.raises(RuntimeError, match="not running"):
        clock.stop()
    clock.start()
    with pytest.raises(RuntimeError, match="already running"):
        clock.start()


def test_what_was_compiled_before_a_checkpoint_is_not_forgotten() -> None:
    counts = iter([5, 8])
    clock = Clock(lambda: None, Reading(1.0, 1.0, compilations=2), lambda: next(counts))
    clock.start()
    assert clock.stop().compilations == 5
    assert clock.read().compilations == 5
