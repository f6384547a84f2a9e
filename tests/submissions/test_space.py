from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submissions.space import SearchSpace, SpaceError

LR = {"min": 1e-4, "max": 1e-1, "scaling": "log"}
CUBE = st.floats(0, 1, exclude_max=True)


def at(form, u):
    return SearchSpace.parse({"x": form}).at([u])["x"]


def test_log_ranges_are_uniform_in_the_logarithm():
    assert at(LR, 0.0) == pytest.approx(1e-4, rel=1e-12)
    assert at(LR, 1 / 3) == pytest.approx(1e-3)
    assert at({"min": 0.0, "max": 2.0, "scaling": "linear"}, 0.25) == 0.5


def test_feasible_points_are_equally_likely():
    values = [at({"feasible_points": ["a", None, 3]}, (i + 0.5) / 300) for i in range(300)]
    assert [values.count(value) for value in ("a", None, 3)] == [100, 100, 100]


def test_integer_ends_give_integers_both_ends_alike():
    values = [at({"min": 1, "max": 4, "scaling": "linear"}, (i + 0.5) / 400) for i in range(400)]
    assert all(isinstance(value, int) for value in values)
    assert [values.count(value) for value in (1, 2, 3, 4)] == [100] * 4
    logs = {at({"min": 1, "max": 1000, "scaling": "log"}, (i + 0.5) / 400) for i in range(400)}
    assert all(isinstance(value, int) for value in logs)
    assert min(logs) == 1
    assert 900 < max(logs) <= 1000


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.sampled_from(["linear", "log"]), CUBE, CUBE)
def test_ranges_are_monotone_and_keep_their_ends(a, b, scaling, u, v):
    low, high = min(a, b), max(a, b)
    if low == high:
        return
    form = {"min": low, "max": high, "scaling": scaling}
    first, second = at(form, min(u, v)), at(form, max(u, v))
    assert low <= first <= second <= high


def test_axes_are_in_the_order_of_the_names():
    space = SearchSpace.parse({"lr": LR, "decay": {"feasible_points": ["cosine", "constant"]}})
    assert space.names == ("lr", "decay")
    assert space.points is None
    point = space.at([0.5, 0.75])
    assert point["decay"] == "constant"
    assert math.isclose(point["lr"], math.sqrt(1e-4 * 1e-1))
    for wrong in ([0.5], [0.5, 1.0], [-0.1, 0.5]):
        with pytest.raises(ValueError, match="expected 2 numbers"):
            space.at(wrong)


def test_a_list_of_points_keeps_its_order_and_is_not_sampled():
    points = [{"lr": 1e-3, "decay": "cosine"}, {"lr": 3e-3, "decay": "constant"}]
    space = SearchSpace.parse(points)
    assert space.names == ("lr", "decay")
    assert list(space.points) == points
    with pytest.raises(ValueError, match="tried in order"):
        space.at([0.5, 0.5])


@pytest.mark.parametrize(
    "form",
    [
        {"lr": LR, "k": {"min": 1, "max": 9, "scaling": "linear"}},
        {"decay": {"feasible_points": ["cosine", 1, None, True]}},
        [{"lr": 1e-3, "decay": "cosine"}, {"decay": "constant", "lr": 2}],
    ],
)
def test_spaces_survive_json(form):
    space = SearchSpace.parse(form)
    assert SearchSpace.parse(json.loads(json.dumps(space.to_json()))) == space


@pytest.mark.parametrize(
    ("form", "path", "message"),
    [
        (3, (), "must be a dict of ranges or a list of points"),
        ({}, (), "is empty"),
        ([], (), "is an empty list"),
        ({3: LR}, (3,), "3 must be the name of an argument"),
        ({"lr": 0.1}, ("lr",), "'lr' must be {"),
        ({"lr": {"max": 1}}, ("lr",), "'lr' must be {"),
        ({"lr": {**LR, "scale": 1}}, ("lr",), "unknown key 'scale'; did you mean 'scaling'?"),
        ({"lr": {"min": 1, "max": 2}}, ("lr", "scaling"), "'linear' or 'log', which is missing"),
        ({"lr": {**LR, "scaling": "lin"}}, ("lr", "scaling"), "found 'lin'"),
        ({"lr": {"min": 1.0, "scaling": "log"}}, ("lr", "max"), "finite number, found None"),
        ({"lr": {**LR, "max": "big"}}, ("lr", "max"), "finite number, found 'big'"),
        ({"lr": {**LR, "max": math.inf}}, ("lr", "max"), "finite number, found inf"),
        ({"n": {**LR, "min": 1, "max": 10**400}}, ("n", "max"), "finite number, found 1000"),
        ({"lr": {**LR, "min": True}}, ("lr", "min"), "finite number, found True"),
        ({"lr": {**LR, "min": 1.0}}, ("lr", "min"), "`min` must be below `max`"),
        ({"lr": {**LR, "min": 0.0}}, ("lr", "min"), "log scaling needs `min` above 0"),
        ({"d": {"feasible_points": []}}, ("d",), "at least one value"),
        ({"d": {"feasible_points": [[1]]}}, ("d", "feasible_points"), "found [1]"),
        ([{"lr": 1}, 2], (1,), "point 1 must be a dict"),
        ([{"lr": 1}, {"wd": 2}], (1,), "point 1 and point 0 differ in lr, wd"),
        ([{"lr": {"min": 1}}], (0, "lr"), "a value must be a number"),
        ([{"lr": 10**309}], (0, "lr"), "a value must be a number"),
    ],
)
def test_a_wrong_space_says_what_and_where(form, path, message):
    with pytest.raises(SpaceError) as caught:
        SearchSpace.parse(form)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.path == path
