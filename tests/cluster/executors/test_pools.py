from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.executors.pools import Place, Pool, choose, side_by_side
from cluster.spec import ClusterError
from scoring.ground.words import Resources

ONE = Resources(cores=1)


def place(name: str, kind: str | None, cores: int = 4, gpus: int = 0) -> Place:
    hardware = None if kind is None else {"digest": kind, "cpu": f"cpu of {kind}"}
    return Place(name, name, cores, gpus, hardware, "" if kind else "did not answer in time")


def test_the_class_with_most_cores_races_and_the_rest_is_told(tmp_path: Path) -> None:
    nodes = [place("a", "old", 4), place("b", "new", 3), place("c", "new", 3), place("d", None)]
    pool, told = choose(nodes, ONE, tmp_path)
    assert set(pool.places) == {"b", "c"}
    assert pool.mixed
    assert told[0] == "d is skipped: did not answer in time"
    assert told[1] == "races on 2 nodes with 6 cores of hardware new: b, c"
    assert told[2].endswith(
        "1 node with 4 cores of hardware old: a (cpu: cpu of old instead of cpu of new)"
    )


def test_nodes_of_one_kind_need_no_words(tmp_path: Path) -> None:
    pool, told = choose(
        [place("a", "x"), place("b", "x"), place("c", "y", cores=1)], Resources(cores=2), tmp_path
    )
    assert not told
    assert not pool.mixed
    assert set(pool.places) == {"a", "b"}


@pytest.mark.parametrize(
    ("cores", "gpus", "resources", "count"),
    [
        ((3, 3), (0, 0), Resources(cores=2), 2),
        ((16,), (1,), Resources(cores=1, gpus=1), 1),
        ((16, 4), (8, 2), Resources(cores=1, gpus=2), 5),
        ((8,), (4,), Resources(cores=1, gpus=1, ranks=2), 2),
        ((1,), (0,), Resources(cores=2), 1),
    ],
)
def test_no_core_of_two_nodes_and_no_accelerator_is_counted_twice(
    cores: tuple[int, ...], gpus: tuple[int, ...], resources: Resources, count: int
) -> None:
    nodes = [place("a", "x", *both) for both in zip(cores, gpus, strict=True)]
    assert side_by_side(nodes, {resources}) == count


def test_a_node_without_the_accelerators_is_no_part(tmp_path: Path) -> None:
    nodes = [place("a", "x", 64), place("b", "y", 4, gpus=1)]
    pool, _ = choose(nodes, Resources(cores=1, gpus=1), tmp_path)
    assert set(pool.places) == {"b"}


@given(st.lists(st.integers(1, 8), min_size=1, max_size=5), st.integers(1, 40))
def test_trials_spread_by_the_cores_of_nodes(cores: list[int], trials: int) -> None:
    pool = Pool([place(str(number), "x", count) for number, count in enumerate(cores)], True)
    given_to = [pool.lend(ONE, map(str, range(len(cores)))) for _ in range(trials)]
    for number, count in enumerate(cores):
        share = trials * count / sum(cores)
        assert abs(given_to.count(str(number)) - share) <= count + 1
    for node in given_to:
        pool.give_back(node, ONE)
    assert pool.lend(ONE, ["0"]) == "0"


def test_a_pool_whose_nodes_are_gone_says_so() -> None:
    pool = Pool([place("a", "x")], True)
    with pytest.raises(ClusterError, match="no node of this run's hardware is left"):
        pool.lend(ONE, ["b"])
