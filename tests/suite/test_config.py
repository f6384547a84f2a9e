from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import submissions
from scoring.ground.documents import ConfigError
from scoring.run_file import Holding
from suite import config

GOOD = """\
title: mine
workloads: [lm-toy-v2]
submissions: [adamw, sgd]
ruleset: external
studies: 2
trials: 3
"""


def test_a_suite_is_read_with_its_defaults(suite_file: Callable[[str], Path]) -> None:
    named = config.load(str(suite_file(GOOD)))
    assert named.name == "mine"
    assert named.suite.workloads == ["lm-toy-v2"]
    assert (named.suite.studies, named.suite.trials, named.suite.seed) == (2, 3, 0)
    assert named.suite.clock == "wall"
    assert named.suite.resources == Holding(cores=1, gpus=0)


def test_self_tuning_has_half_as_much_budget_again(suite_file: Callable[[str], Path]) -> None:
    external = config.load(str(suite_file(GOOD))).suite
    own = GOOD.replace("external", "self").replace("trials: 3\n", "")
    assert external.factor == 1.0
    assert config.load(str(suite_file(own))).suite.factor == 1.5
    assert config.load(str(suite_file(own + "budget_factor: 1.0\n"))).suite.factor == 1.0


@pytest.mark.parametrize("name", config.shipped())
def test_shipped_suites_are_sound(name: str) -> None:
    assert config.load(name).name == name


def test_there_are_the_suites_of_the_manual() -> None:
    assert {"demo", "ci", "toy", "laptop", "standard"} <= set(config.shipped())


def test_the_suite_of_methods_has_all_that_ship() -> None:
    assert config.load("methods").suite.submissions == submissions.shipped()


def test_paths_are_relative_to_the_suites_file(suite_file: Callable[[str], Path]) -> None:
    path = suite_file(GOOD.replace("adamw, sgd", "./my_opt.py"))
    (path.parent / "my_opt.py").write_text("def submission(params, lr=0.1):\n    pass\n")
    assert config.load(str(path)).suite.submissions == [str(path.parent / "my_opt.py")]


def test_a_folder_beside_a_suite_that_is_read_from_its_own_folder_is_a_path(
    suite_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite_file(GOOD.replace("adamw, sgd", "./my_opt"))
    (path.parent / "my_opt").mkdir()
    (path.parent / "my_opt/submission.py").write_text("def submission(params, lr=0.1):\n    pass\n")
    monkeypatch.chdir(path.parent)
    assert config.load(path.name).suite.submissions == ["./my_opt"]


BAD = {
    "unknown key": (
        GOOD + "trails: 4\n",
        ":7: trails: unknown key; did you mean 'trials'?",
    ),
    "given twice": (GOOD + "studies: 4\n", ":7: studies: given twice"),
    "missing": (GOOD.replace("studies: 2\n", ""), ":1: studies: is missing"),
    "not a number": (
        GOOD.replace("studies: 2", "studies: two"),
        ":5: studies: expected a valid integer, found 'two'",
    ),
    "zero": (
        GOOD.replace("studies: 2", "studies: 0"),
        ":5: studies: expected greater than 0, found 0",
    ),
    "no ruleset": (
        GOOD.replace("external", "extern"),
        ":4: ruleset: 'extern' is not one of 'external' or 'self'; did you mean 'external'?",
    ),
    "no clock": (
        GOOD + "clock: walls\n",
        ":7: clock: 'walls' is not one of 'wall', 'cpu', 'steps' or 'paired'; did you mean 'wall'?",
    ),
    "unknown workload": (
        GOOD.replace("lm-toy-v2", "lm-toy-v2, lm-toy-v2+posnorm"),
        ":2: workloads.1: workload 'lm-toy-v2+posnorm': unknown variant 'posnorm'; "
        "did you mean 'postnorm'?",
    ),
    "workload twice": (
        GOOD.replace("lm-toy-v2", "lm-toy-v2, lm-toy-v2"),
        ":2: workloads.1: 'lm-toy-v2' is given twice",
    ),
    "unknown submission": (
        GOOD.replace("sgd", "prodigi"),
        ":3: submissions.1: unknown submission 'prodigi'; did you mean 'prodigy'?",
    ),
    "submission twice": (
        GOOD.replace("sgd", "adamw"),
        ":3: submissions.1: a second submission named 'adamw'",
    ),
    "self with trials": (
        GOOD.replace("external", "self"),
        ":6: trials: self tuning has one trial per study; leave it out",
    ),
    "points of another": (
        GOOD + "points:\n  adam: [{lr: 0.01}]\n",
        ":8: points.adam: not among the submissions; did you mean 'adamw'?",
    ),
    "points without a name": (
        GOOD + "points:\n  adamw:\n    - lr: 0.01\n    - lrate: 0.1\n",
        ":10: points.adamw.1.lrate: adamw has no such hyperparameter; did you mean",
    ),
    "no points": (
        GOOD + "points: {adamw: []}\n",
        ":7: points.adamw: expected at least one point, found 0",
    ),
    "points on another workload": (
        GOOD + "points_on:\n  lm-toy-v3: {adamw: [{lr: 0.01}]}\n",
        ":8: points_on.lm-toy-v3: not among the workloads; did you mean 'lm-toy-v2'?",
    ),
    "points on a workload without a name": (
        GOOD + "points_on:\n  lm-toy-v2:\n    sgd: [{lr: 0.01}]\n    adamw: [{rate: 0.1}]\n",
        ":10: points_on.lm-toy-v2.adamw.0.rate: adamw has no such hyperparameter",
    ),
    "empty": ("", ":1: expected a mapping of keys, found nothing"),
    "not YAML": (GOOD + "x: [\n", ":8: not valid YAML: "),
    "a callable": (GOOD + "seed: !!python/name:os.system\n", ":7: not valid YAML: "),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_name_file_line_and_key(case: str, suite_file: Callable[[str], Path]) -> None:
    text, message = BAD[case]
    path = suite_file(text)
    with pytest.raises(ConfigError) as caught:
        config.load(str(path))
    found = str(caught.value)
    assert found.startswith(f"{path}{message}")
    assert "\n" not in found


def test_an_unknown_suite_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^unknown suite 'dmeo'; did you mean 'demo'\?$"):
        config.load("dmeo")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file; known suites: ci, .*toy"):
        config.load(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("word", ["mine", "mine.yml"])
def test_a_suite_of_another_ending_is_named(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").touch()
    with pytest.raises(ConfigError, match=r"; did you mean 'mine\.yaml'\?$"):
        config.load(word)


def test_flags_that_contradict_the_ruleset_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--trials 4: suite 'demo': self tuning has one trial"):
        config.override(config.load("demo"), {"trials": 4, "seed": None})


def test_the_suite_of_the_rooms_page_is_one(tmp_path: Path) -> None:
    page = Path(config.__file__).with_name("README.md").read_text(encoding="utf-8")
    text = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "page.yaml").write_text(text)
    suite = config.load(str(tmp_path / "page.yaml")).suite
    assert (suite.clock, suite.trials, set(suite.points_on)) == ("paired", 3, {"lm-toy-v2"})
