"""Halving over workloads: its shape, and that limits change nothing of who is kept."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.profiles import TAU_MAX
from suite.calibration.ladder import Part, Rung, kept, ladder, latest_ratio


@given(st.integers(1, 200), st.integers(1, 12), st.integers(1, 9))
def test_a_ladder_races_every_workload_once_and_ends_with_the_finalists(
    candidates: int, finalists: int, count: int
) -> None:
    workloads = [f"w{number}" for number in range(count)]
    rungs = ladder(candidates, finalists, workloads)
    assert [name for rung in rungs for name in rung.workloads] == workloads
    assert all(rung.workloads for rung in rungs)
    keeps = [candidates, *(rung.keep for rung in rungs)]
    assert keeps == sorted(keeps, reverse=True)
    assert keeps[-1] == min(finalists, candidates)


def test_sixteen_points_on_six_workloads() -> None:
    rungs = ladder(16, 3, ["a", "b", "c", "d", "e", "f"])
    assert rungs == [Rung(("a", "b"), 10), Rung(("c", "d"), 6), Rung(("e", "f"), 3)]
    assert ladder(16, 3, ["a"]) == [Rung(("a",), 3)]


RATIOS = st.one_of(st.floats(0.05, 5.0), st.just(math.inf), st.sampled_from([0.5, 1.0, 3.0]))


@settings(max_examples=200)
@given(
    data=st.data(),
    candidates=st.integers(2, 12),
    finalists=st.integers(1, 4),
    count=st.integers(1, 5),
    at_once=st.integers(1, 4),
)
def test_the_kept_are_those_of_a_ladder_without_limits(
    data: st.DataObject, candidates: int, finalists: int, count: int, at_once: int
) -> None:
    names = [f"w{number}" for number in range(count)]
    ratio = {
        (one, name): data.draw(RATIOS, label=f"{one} on {name}")
        for one in range(candidates)
        for name in names
    }
    near = {key: data.draw(st.floats(0, 1)) for key in ratio}
    order = data.draw(st.randoms(use_true_random=False))
    full = race(ratio, near, ladder(candidates, finalists, names), None, at_once)
    pruned = race(ratio, near, ladder(candidates, finalists, names), order, at_once)
    assert pruned == full


def race(
    ratio: dict[tuple[int, str], float],
    near: dict[tuple[int, str], float],
    rungs: list[Rung],
    order: random.Random | None,
    at_once: int,
) -> list[list[int]]:
    """Whom each rung keeps; `order` says which running trial ends next, and that limits hold."""
    parts: dict[int, dict[str, Part]] = {one: {} for one, _ in ratio}
    left = sorted(parts)
    found = []
    for rung in rungs:
        waiting = [(one, name) for one in left for name in rung.workloads]
        running: list[tuple[int, str, float]] = []
        while waiting or running:
            while waiting and len(running) < at_once:
                one, name = waiting.pop(0)
                latest = latest_ratio(parts, left, rung, one, name) if order else math.inf
                running.append((one, name, latest))
            one, name, latest = running.pop(order.randrange(len(running)) if order else 0)
            time = ratio[one, name]
            stopped = time > latest
            gain = 0.0 if stopped else max(0.0, (TAU_MAX - time) / (TAU_MAX - 1))
            # What a stopped trial had seen is less than what it would have.
            parts[one][name] = Part(gain, 0.0 if stopped else near[one, name])
        left = kept(parts, left, rung.keep)
        found.append(left)
    return found


def test_the_limit_is_what_the_bar_leaves() -> None:
    """By hand: a bar of 1 and nothing else to come leaves a ratio of 1; of 1/3, one of 3."""
    rung = Rung(("a",), 1)
    for gain, latest in ((1.0, 1.0), (1 / 3, 3.0), (4 / 3, 0.0)):
        parts = {0: {"a": Part(gain)}, 1: {}}
        assert latest_ratio(parts, [0, 1], rung, 1, "a") == pytest.approx(latest, abs=1e-6)
    assert latest_ratio({0: {"a": Part(0.0)}, 1: {}}, [0, 1], rung, 1, "a") == math.inf
    two = Rung(("a", "b"), 1)
    parts = {0: {"a": Part(1.0), "b": Part(1.0)}, 1: {}}
    assert latest_ratio(parts, [0, 1], two, 1, "a") == pytest.approx(2.0), "2 less 4/3 is 2/3"
    assert latest_ratio({0: {"a": Part(1.0)}, 1: {}}, [0, 1], two, 1, "a") == math.inf


def test_equal_totals_are_told_apart_by_how_near_they_came() -> None:
    parts = {
        0: {"a": Part(0.0, -3.0), "b": Part(0.0, 0.2)},
        1: {"a": Part(0.0, -1.0), "b": Part(0.0, 0.9)},
        2: {"a": Part(0.0), "b": Part(0.0)},
        3: {"a": Part(0.0), "b": Part(0.1)},
    }
    assert kept(parts, [0, 1, 2, 3], 4) == [3, 1, 0, 2]
