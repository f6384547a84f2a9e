from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workloads
from scoring.ground.documents import ConfigError
from scoring.ground.words import Budget
from scoring.run_file import StatedTarget
from suite.config import NamedSuite, Suite, load
from suite.plan import Planned, make_plan
from tests.suite.conftest import REFERENCES, race
from workloads.config import Race


def suite(**changes: Any) -> NamedSuite:
    given: dict[str, Any] = {
        "title": "test",
        "workloads": ["lm-toy-v2", "homeostatic-toy-v3"],
        "submissions": ["adamw", "adamw_jax"],
        "ruleset": "external",
        "studies": 2,
        "trials": 3,
    }
    return NamedSuite("test", Suite(**(given | changes)))


def by_key(planned: Planned, run: Path) -> dict[Any, Any]:
    specs = planned.specs(run)
    keyed = {spec.key: spec for spec in specs}
    assert len(keyed) == len(specs)
    return keyed


def test_every_trial_of_the_product_is_planned_once(raced: dict[str, Race], tmp_path: Path) -> None:
    keys = by_key(make_plan(suite()), tmp_path)
    both = ("lm-toy-v2", "homeostatic-toy-v3")
    product = itertools.product(both, ("adamw", "adamw_jax"), range(2), range(3))
    references = itertools.product(both, ("reference-torch", "reference-jax"), range(2), (0,))
    assert set(keys) == {*product, *references}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), studies=st.integers(1, 3), trials=st.integers(1, 4))
def test_studies_are_paired_across_submissions(
    seed: int, studies: int, trials: int, raced: dict[str, Race], tmp_path: Path
) -> None:
    named = suite(seed=seed, studies=studies, trials=trials)
    specs = make_plan(named).specs(tmp_path)
    seeds: dict[Any, set[int]] = {}
    points: dict[Any, set[str]] = {}
    for spec in specs:
        place = (spec.workload, spec.study, spec.trial)
        seeds.setdefault(place, set()).add(spec.seed)
        points.setdefault((spec.submission, spec.study, spec.trial), set()).add(
            repr(spec.hyperparameters)
        )
    assert all(len(same) == 1 for same in seeds.values())
    assert len(set.union(*seeds.values())) == len(seeds)
    # A point is tried on every workload; a reference is tuned for each.
    assert all(len(same) == 1 for key, same in points.items() if "reference" not in key[0])
    assert specs == make_plan(named).specs(tmp_path)


def test_the_order_of_a_suite_changes_no_trial(raced: dict[str, Race], tmp_path: Path) -> None:
    one = by_key(make_plan(suite()), tmp_path)
    turned = suite(
        submissions=["adamw_jax", "sgd", "adamw"], workloads=["homeostatic-toy-v3", "lm-toy-v2"]
    )
    other = by_key(make_plan(turned), tmp_path)
    assert all(other[key] == spec for key, spec in one.items())


def test_trials_get_target_budget_and_resources(raced: dict[str, Race], tmp_path: Path) -> None:
    raced["lm-toy-v2"] = race(target=1.25)
    named = suite(resources={"cores": 2, "gpus": 1}, clock="cpu", budget_factor=0.5)
    keys = by_key(make_plan(named), tmp_path)
    spec = keys["lm-toy-v2", "adamw", 0, 0]
    assert (spec.target.metric, spec.target.value) == ("validation/bits_per_byte", 1.25)
    assert spec.budget == Budget(200, 10.0)
    assert keys["lm-toy-v2", "reference-torch", 0, 0].budget == Budget(400, 20.0)
    assert (spec.resources.cores, spec.resources.gpus, spec.clock) == (2, 1, "cpu")
    assert spec.run.is_absolute()


def test_the_windowed_metric_is_the_one_judged(raced: dict[str, Race], tmp_path: Path) -> None:
    import workloads

    metric = workloads.get("homeostatic-toy-v3").metric
    spec = by_key(make_plan(suite()), tmp_path)["homeostatic-toy-v3", "adamw", 0, 0]
    assert (spec.target.metric, spec.target.goal) == (metric.key, metric.goal)


def test_self_tuning_is_one_trial_a_study_at_the_defaults(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    keys = by_key(make_plan(suite(ruleset="self", trials=1, studies=3)), tmp_path)
    mine = [spec for key, spec in keys.items() if key[1] == "adamw" and key[0] == "lm-toy-v2"]
    assert [spec.study for spec in mine] == [0, 1, 2]
    assert len({repr(spec.hyperparameters) for spec in mine}) == 1
    assert len({spec.seed for spec in mine}) == 3
    assert mine[0].hyperparameters == dict(mine[0].source.defaults)
    assert mine[0].budget == Budget(600, 30.0)


def test_the_reference_is_added_for_each_framework_raced(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    keys = by_key(make_plan(suite(submissions=["adamw_jax"])), tmp_path)
    assert {key[1] for key in keys} == {"adamw_jax", "reference-jax"}
    spec = keys["lm-toy-v2", "reference-jax", 1, 0]
    assert spec.source.name == "nadamw_jax"
    assert spec.hyperparameters["lr"] == 0.004
    assert spec.seed == keys["lm-toy-v2", "adamw_jax", 1, 0].seed
    without = by_key(make_plan(suite(), reference=False), tmp_path)
    assert not [key for key in without if key[1].startswith("reference")]


def test_further_trials_that_would_repeat_are_not_planned(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    (tmp_path / "plain.py").write_text("def submission(params, lr=0.1): ...\n")
    (tmp_path / "two.py").write_text(
        "SEARCH_SPACE = [{'lr': 1.0}, {'lr': 2.0}]\ndef submission(params, lr): ...\n"
    )
    words = [str(tmp_path / "plain.py"), str(tmp_path / "two.py")]
    planned = make_plan(suite(submissions=words))
    assert planned.notes == (
        "plain: 1 trial per study instead of 3: it has no search space, so more trials would "
        "repeat its defaults",
        "two: 2 trials per study instead of 3: its list has 2 points",
    )
    keys = by_key(planned, tmp_path)
    assert [key[3] for key in keys if key[:3] == ("lm-toy-v2", "plain", 0)] == [0]
    assert [key[3] for key in keys if key[:3] == ("lm-toy-v2", "two", 0)] == [0, 1]


def test_a_suites_own_points_overrule_tuning(raced: dict[str, Race], tmp_path: Path) -> None:
    named = suite(points={"adamw": [{"lr": 0.5}, {"lr": 0.25}]})
    keys = by_key(make_plan(named), tmp_path)
    for study in range(2):
        rates = [keys["lm-toy-v2", "adamw", study, trial].hyperparameters["lr"] for trial in (0, 1)]
        assert rates == [0.5, 0.25]
    assert ("lm-toy-v2", "adamw", 0, 2) not in keys


def test_points_on_a_workload_go_before_the_others(raced: dict[str, Race], tmp_path: Path) -> None:
    named = suite(
        points={"adamw": [{"lr": 0.5}, {"lr": 0.25}]},
        points_on={"lm-toy-v2": {"adamw": [{"lr": 0.125}]}},
    )
    keys = by_key(make_plan(named), tmp_path)
    assert {
        (id, trial): spec.hyperparameters["lr"]
        for (id, name, study, trial), spec in keys.items()
        if name == "adamw" and study == 1
    } == {
        ("lm-toy-v2", 0): 0.125,
        ("homeostatic-toy-v3", 0): 0.5,
        ("homeostatic-toy-v3", 1): 0.25,
    }


def test_a_workload_without_a_target_is_raced_at_equal_budget(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    raced["lm-toy-v2"] = None  # type: ignore[assignment]
    planned = make_plan(suite())
    own = [spec for spec in planned.specs(tmp_path) if spec.workload == "lm-toy-v2"]
    assert own
    assert all(spec.target and spec.target.value is None for spec in own)
    provisional = workloads.get("lm-toy-v2").settings.provisional_budget
    assert planned.plan.workloads["lm-toy-v2"].budget.steps == provisional.steps
    (told,) = planned.notes
    assert told.startswith("lm-toy-v2: no target: metrics are compared at equal budget")


def test_what_holds_for_several_is_told_in_one_line(raced: dict[str, Race], tmp_path: Path) -> None:
    raced["lm-toy-v2"] = raced["homeostatic-toy-v3"] = None  # type: ignore[assignment]
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("def submission(params, lr=0.1): ...\n")
    words = [str(tmp_path / "one.py"), str(tmp_path / "two.py")]
    told = make_plan(suite(submissions=words)).notes
    assert [line.partition(":")[0] for line in told] == [
        "one, two",
        "lm-toy-v2, homeostatic-toy-v3",
    ]


def test_a_suite_may_state_the_target(raced: dict[str, Race], tmp_path: Path) -> None:
    raced["lm-toy-v2"] = None  # type: ignore[assignment]
    stated = StatedTarget(target=3.5, steps=70, seconds=9.0, reference={"lr": 0.5})
    planned = make_plan(suite(targets={"lm-toy-v2": stated}))
    course = planned.plan.workloads["lm-toy-v2"]
    assert (course.target.value, course.budget.steps, course.budget.seconds) == (3.5, 70, 9.0)
    assert {entrant.hyperparameters["lr"] for entrant in course.references.values()} == {0.5}
    assert not planned.notes


def test_the_published_targets_are_raced_to() -> None:
    courses = make_plan(load("published")).plan.workloads
    assert {
        id: (course.target.metric, course.target.goal, course.target.value)
        for id, course in courses.items()
    } == {
        "lm-standard-v2+speedrun": ("validation/nats_per_token", "min", 3.28),
        "recommender-standard-v3+ctr": ("validation/auc", "max", 0.813),
    }


def test_a_workload_without_a_reference_is_refused(raced: dict[str, Race], tmp_path: Path) -> None:
    raced["lm-toy-v2"] = race(reference={"torch": REFERENCES["torch"]})
    with pytest.raises(ConfigError, match=r"^workload lm-toy-v2 has no reference in jax yet; .*"):
        make_plan(suite())
    assert make_plan(suite(submissions=["adamw"])).specs(tmp_path)
    assert make_plan(suite(), reference=False).specs(tmp_path)


def test_submissions_of_one_name_are_refused(raced: dict[str, Race], tmp_path: Path) -> None:
    (tmp_path / "adamw.py").write_text("def submission(params, lr=0.1): ...\n")
    with pytest.raises(ConfigError, match=r"^two submissions are named 'adamw': .*rename one"):
        make_plan(suite(submissions=["adamw", str(tmp_path / "adamw.py")]))


def test_self_tuning_needs_defaults(raced: dict[str, Race], tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text("SEARCH_SPACE = [{'lr': 1.0}]\ndef submission(params, lr): ...\n")
    with pytest.raises(ConfigError, match="'two' has no default for lr"):
        make_plan(suite(submissions=[str(path)], ruleset="self", trials=1))


def test_a_suites_points_must_fit_a_submission_given_in_place_of_its_own(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    (tmp_path / "adamw.py").write_text("def submission(params, rate=0.1): ...\n")
    named = suite(submissions=[str(tmp_path / "adamw.py")], points={"adamw": [{"lr": 0.5}]})
    with pytest.raises(ConfigError, match=r"set 'lr', which .*adamw.py does not have"):
        make_plan(named)


def shipping(steps: list[int], data: str = "") -> Race:
    measured = {"steps": steps, "data": data}
    shipped = {name: one.model_copy(update=measured) for name, one in REFERENCES.items()}
    return race(reference=shipped)


def test_on_the_paired_clock_a_reference_whose_steps_ship_is_not_raced(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    raced["lm-toy-v2"] = shipping([90, 80, 100, 120, 130])
    named = suite(clock="paired", ruleset="self", trials=1)
    keys = by_key(make_plan(named), tmp_path)
    assert {key.workload for key in keys if "reference" in key.submission} == {"homeostatic-toy-v3"}
    # Four times the shipped median, although self tuning has one and a half times the budget.
    limits = {key.workload: spec.budget.reference_steps for key, spec in keys.items()
              if key.submission == "adamw"}  # fmt: skip
    assert limits == {"lm-toy-v2": 400.0, "homeostatic-toy-v3": 600.0}
    every = by_key(make_plan(named, race_reference=True), tmp_path)
    assert len(every) == len(keys) + 4


@pytest.mark.parametrize("clock", ["steps", "wall"])
def test_no_reference_is_raced_and_one_whose_steps_ship_is_a_yardstick_all_the_same(
    clock: str, raced: dict[str, Race], tmp_path: Path
) -> None:
    raced["lm-toy-v2"] = shipping([90, 80, 100, 120, 130])
    planned = make_plan(suite(clock=clock), reference=False)
    keys = by_key(planned, tmp_path)
    assert {key.submission for key in keys} == {"adamw", "adamw_jax"}
    known = {id: set(course.references) for id, course in planned.plan.workloads.items()}
    both = {"torch", "jax"} if clock == "steps" else set()
    assert known == {"lm-toy-v2": both, "homeostatic-toy-v3": set()}


def test_without_raced_references_the_paired_clock_takes_those_whose_steps_ship(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    raced["lm-toy-v2"] = shipping([90, 80, 100, 120, 130])
    named = suite(clock="paired", workloads=["lm-toy-v2"])
    calm = make_plan(named).specs(tmp_path)
    assert make_plan(named, reference=False).specs(tmp_path) == calm
    with pytest.raises(ConfigError, match="leave --no-reference out"):
        make_plan(suite(clock="paired"), reference=False).specs(tmp_path)


def test_references_that_ship_are_raced_where_the_machine_moves_the_clock(
    raced: dict[str, Race], tmp_path: Path
) -> None:
    raced["lm-toy-v2"] = shipping([90, 80, 100, 120, 130])
    for clock, expected in (
        ("wall", {"lm-toy-v2", "homeostatic-toy-v3"}),
        ("steps", {"homeostatic-toy-v3"}),
    ):
        keys = by_key(make_plan(suite(clock=clock)), tmp_path)
        found = {key.workload for key in keys if key.submission == "reference-torch"}
        assert found == expected


HERE, OTHER = "a" * 64, "b" * 64


def made_here(
    monkeypatch: pytest.MonkeyPatch, raced: dict[str, Race], id: str, *, of: str, here: str
) -> None:
    """A workload whose data this machine made (`here`, or not yet: ""), and steps `of` some."""
    kind = type(workloads.get(id))
    monkeypatch.setattr(kind, "made_here_sha256", lambda self: here)
    raced[id] = shipping([90, 80, 100, 120, 130], of)


@pytest.mark.parametrize(
    ("of", "here", "why"),
    [
        (OTHER, HERE, r"were measured on other data \(b{12}; this machine has a{12}\)"),
        (OTHER, "", r"were measured on other data \(b{12}; this machine has none yet\)"),
        ("", HERE, r"were measured on unrecorded data \(this machine has a{12}\)"),
    ],
)
@pytest.mark.parametrize("clock", ["paired", "steps"])
def test_a_reference_whose_shipped_steps_are_of_other_data_is_raced_and_told(
    clock: str, of: str, here: str, why: str, raced: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    made_here(monkeypatch, raced, "lm-toy-v2", of=of, here=here)
    planned = make_plan(suite(clock=clock, workloads=["lm-toy-v2"]))
    keys = by_key(planned, tmp_path)
    assert {"reference-torch", "reference-jax"} <= {key.submission for key in keys}
    (told,) = (note for note in planned.notes if "shipped" in note)
    assert re.fullmatch(
        f"lm-toy-v2: its shipped reference steps {why}, so the reference is raced, .*", told
    )
    course = planned.plan.workloads["lm-toy-v2"]
    assert [(one.steps, one.data) for one in course.references.values()] == [([], "")] * 2
    # Nothing of the others' steps is in a limit either: it is the workload's own.
    limits = {spec.budget.reference_steps for spec in keys.values()}
    assert limits == ({400.0} if clock == "paired" else {None})
    alone = make_plan(suite(clock=clock, workloads=["lm-toy-v2"]), reference=False)
    assert not alone.plan.workloads["lm-toy-v2"].references
    assert any("so the reference would have to be raced" in note for note in alone.notes)


def test_shipped_steps_of_this_machines_own_data_will_do(
    raced: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    made_here(monkeypatch, raced, "lm-toy-v2", of=HERE, here=HERE)
    planned = make_plan(suite(clock="paired", workloads=["lm-toy-v2"]))
    assert {key.submission for key in by_key(planned, tmp_path)} == {"adamw", "adamw_jax"}
    assert not [note for note in planned.notes if "shipped" in note]
    of = {one.data for one in planned.plan.workloads["lm-toy-v2"].references.values()}
    assert of == {HERE}


def test_where_seconds_count_nothing_is_said_of_shipped_steps(raced: Any, monkeypatch: Any) -> None:
    made_here(monkeypatch, raced, "lm-toy-v2", of=OTHER, here=HERE)
    planned = make_plan(suite(clock="wall", workloads=["lm-toy-v2"]))
    assert not [note for note in planned.notes if "shipped" in note]


def test_a_handful_of_seeds_is_no_yardstick(raced: dict[str, Race], tmp_path: Path) -> None:
    raced["lm-toy-v2"] = shipping([90, 100, 120])
    named = suite(clock="paired", workloads=["lm-toy-v2"])
    keys = by_key(make_plan(named), tmp_path)
    assert "reference-torch" in {key.submission for key in keys}


ALGOPERF = Path(__file__).parents[1] / "submissions" / "algoperf" / "torch_self"


def test_what_wants_labels_is_refused_where_there_are_none(raced: dict[str, Race]) -> None:
    words = {"submissions": [str(ALGOPERF)], "ruleset": "self", "trials": 1}
    with pytest.raises(ConfigError, match=r"'torch_self' .* needs? labelled.* rl_nap-toy-v3"):
        make_plan(suite(workloads=["lm-toy-v2", "rl_nap-toy-v3"], **words))
    assert make_plan(suite(**words)).plan.submissions.keys() == {"torch_self"}
