"""AlgoPerf's submission files: read, refused in one line, given the imports they ask for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from submissions.algoperf.facts import has_device_axis
from submissions.algoperf.imports import PACKAGES
from submissions.algoperf.machine import read_otherwise
from submissions.algoperf.view import as_seen
from submissions.algoperf.wrap_jax import JaxView
from submissions.algoperf.wrap_torch import Container, TorchView
from submissions.contract import SubmissionError
from submissions.load import build, execute, unload
from submissions.source import find, parse
from tests.submissions import problem

FILES = Path(__file__).parent / "algoperf"
NAMES = ("torch_external", "torch_self", "jax_external", "jax_self")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_algoperf_is_a_submission(name: str) -> None:
    source = find(str(FILES / name))
    assert source.name == name
    assert source.api == "algoperf"
    assert source.framework == name.partition("_")[0]
    assert bool(source.hyperparameters) == name.endswith("external")
    # The path of its `submission.py` means the same, and the text alone travels.
    assert find(str(FILES / name / "submission.py")) == source
    assert parse(name, source.text, source.origin) == source


def test_points_and_ranges_become_the_space_and_the_defaults() -> None:
    points, ranges = find(str(FILES / "torch_external")), find(str(FILES / "jax_external"))
    assert points.space is not None and points.space.points is not None
    assert points.defaults == points.space.points[0]
    assert ranges.space is not None and ranges.space.points is None
    assert ranges.defaults["learning_rate"] == pytest.approx(1e-3)
    assert find(str(FILES / "torch_self")).space is None


def test_ranges_are_drawn_as_floats_between_whole_ends_as_well(tmp_path: Path) -> None:
    (tmp_path / "submission.py").write_text(MAIN)
    space = {"lr": {"min": 0, "max": 1, "scaling": "linear"}, "k": {"feasible_points": [1, 2]}}
    (tmp_path / "tuning_search_space.json").write_text(json.dumps(space))
    assert find(str(tmp_path)).defaults == {"lr": 0.5, "k": 2}


def test_comments_do_not_give_arrays_an_axis_over_devices() -> None:
    comment = "# no jax.pmap here, and no jax_utils.replicate\nimport jax\n"
    assert not has_device_axis({"submission.py": comment, "old.py": "jax.pmap(\n"})
    for line in ("step = jax.pmap(f)", "from jax import pmap", "x = jax_utils.replicate(y)"):
        assert has_device_axis({"submission.py": comment, "step.py": line})


def test_a_file_without_its_search_space_is_told_to_have_one(tmp_path: Path) -> None:
    text = MAIN.replace("    assert hyperparameters is None", "    hyperparameters.learning_rate")
    (tmp_path / "submission.py").write_text(text)
    source = find(str(tmp_path))
    module = execute(source)
    params = problem.torch_parameters()
    made = build(module, source, {}, params=params, card=problem.card())
    with pytest.raises(SubmissionError, match=r"put its tuning_search_space\.json beside it"):
        made.init(params.named)  # type: ignore[attr-defined]
    unload(source)


MAIN = (FILES / "torch_self" / "submission.py").read_text()


@pytest.mark.parametrize(
    ("text", "space", "told"),
    [
        (MAIN.replace("def get_batch_size", "def get_size"), None, "without `get_batch_size`"),
        (MAIN + "\nx = = 1\n", None, "not valid Python"),
        (MAIN.replace("torch", "numpy"), None, "imports neither torch nor jax"),
        (MAIN, "[{]", "tuning_search_space.json:1: not valid JSON"),
        (MAIN, "9" * 5000, "tuning_search_space.json: not valid JSON: Exceeds the limit"),
        (MAIN, "[" * 100_000, "tuning_search_space.json: not valid JSON: maximum recursion"),
        (MAIN, '{"lr": {"min": 1}}', "must be a finite number"),
        (MAIN, '[{"a b": 1}]', "cannot name a hyperparameter"),
        (MAIN, '[{"params": 1}]', "cannot name a hyperparameter"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, text: str, space: str | None, told: str
) -> None:
    (tmp_path / "submission.py").write_text(text)
    if space is not None:
        (tmp_path / "tuning_search_space.json").write_text(space)
    with pytest.raises(SubmissionError, match=told) as caught:
        find(str(tmp_path))
    assert "\n" not in str(caught.value)


def loaded(tmp_path: Path, imports: str, files: dict[str, str] | None = None) -> dict[str, object]:
    """The namespace of an AlgoPerf file with these imports."""
    (tmp_path / "submission.py").write_text(f"import torch\n{imports}\n{BARE}")
    for name, text in (files or {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    source = find(str(tmp_path))
    try:
        return dict(vars(execute(source)))
    finally:
        unload(source)


BARE = "\n".join(
    f"def {name}(*_, **__):\n    pass"
    for name in ("init_optimizer_state", "update_params", "data_selection", "get_batch_size")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_both_packages_are_served_to_the_file_alone(tmp_path: Path, package: str) -> None:
    before = set(sys.modules)
    lines = [f"import {package}.spec", f"from {package} import spec as one", "import submissions"]
    lines += [f"import {package}.spec as other", f"from {package}.pytorch_utils import *"]
    lines += ["T = one.AnyNameAtAll", "W = hasattr(one, '__wrapped__')"]
    names = loaded(tmp_path, "\n".join(lines))
    assert names["one"] is names["other"]
    assert names["W"] is False, "inspect and torch look for names like this"
    import submissions

    assert names["submissions"] is submissions
    assert not [name for name in set(sys.modules) - before if name.startswith(package)]
    with pytest.raises(ImportError):
        __import__(package)


def test_what_is_not_served_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"algoperf.checkpoint_utils is not supported"):
        loaded(tmp_path, "from algoperf import checkpoint_utils")
    told = r"imports algorithms\.theirs\.schedule, not installed here"
    with pytest.raises(SubmissionError, match=told):
        loaded(tmp_path, "from algorithms.theirs.schedule import falling")


def test_a_torch_file_may_take_something_from_a_jax_one(tmp_path: Path) -> None:
    beside = "import jax\nfrom algoperf import jax_sharding_utils\nHALF = 0.5\n"
    names = loaded(tmp_path, "from jax_base import HALF", {"jax_base.py": beside})
    assert names["HALF"] == 0.5


@pytest.mark.parametrize(
    "line",
    [
        "from submissions.self_tuning.theirs.rules.halving import HALF",
        "import submissions.self_tuning.theirs.rules.halving as h; HALF = h.HALF",
        "from rules.halving import HALF",
        "from rules import halving; HALF = halving.HALF",
        "from halving import HALF",
        "from algorithms.theirs.rules import halving; HALF = halving.HALF",
        "from submissions.theirs import half_of; HALF = half_of.ONE / 2",
        "from .rules.halving import HALF",
    ],
)
def test_files_are_found_where_they_were_published(tmp_path: Path, line: str) -> None:
    files = {
        "rules/halving.py": "from half_of import ONE\nHALF = ONE / 2\n",
        "half_of.py": "ONE = 1",
    }
    assert loaded(tmp_path, line, files)["HALF"] == 0.5
    assert "submissions.self_tuning" not in sys.modules


def test_a_file_beside_it_hides_no_installed_package(tmp_path: Path) -> None:
    names = loaded(
        tmp_path,
        "from torch.optim.optimizer import Optimizer",
        {"optimizer.py": "Optimizer = None\n", "optim/optimizer.py": "Optimizer = None\n"},
    )
    assert names["Optimizer"] is not None


def test_what_of_a_file_is_no_python_is_not_looked_at_for_another_machine() -> None:
    texts = {"submission.py": "import torch\nx.to('cuda')\n", "old.py": "import torch\nx = = 1\n"}
    found = list(read_otherwise(texts, accelerator=False))
    assert found == ["submission.py:2: 'cuda' becomes 'cpu'"]


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_of_each_example_is_not_smoothed_and_so_refused(
    framework: str, masked: bool
) -> None:
    class Flat:
        classes = 2

        def loss(self, params: object, batch: object, smoothing: float = 0.0) -> torch.Tensor:
            return torch.zeros(())

        def objective(self, *given: object) -> tuple[float, dict[str, float]]:
            return 0.0, {}

        def losses(self, params: object, batch: object) -> np.ndarray[Any, Any]:
            return np.array([1.0, 3.0])

    card = problem.card()
    view: Any
    if framework == "jax":
        view = JaxView(card, "my.py", device_axis=False)
        weights: Any = view.tree(problem.arrays())
    else:
        view, named = TorchView(card, "my.py"), problem.torch_parameters().named
        view.live, weights = named, Container(named, card)
    view.problem, view.names = Flat(), ("x", "y")
    batch = as_seen({"x": np.zeros(2), "y": np.zeros(2)})
    forward, _ = view.model_fn(weights, batch, None)
    mask = np.array([1.0, 0.0]) if masked else None
    scores = view.loss_fn(batch["targets"], forward, mask, 0.0)
    assert list(scores["per_example"]) == [1.0, 3.0]
    assert float(scores["summed"]) == (1.0 if masked else 0.0)
    with pytest.raises(SubmissionError, match=r"my\.py: .*label smoothing with a mask or"):
        view.loss_fn(batch["targets"], forward, mask, 0.1)["per_example"]


def test_older_names_of_jax_are_the_files_alone(tmp_path: Path) -> None:
    import jax

    lines = "import jax\nimport jax.numpy as jnp\nfrom jax import lax\nfrom jax import numpy as np2"
    lines += "\nmapped = jax.tree_map(lambda x: x + 1, {'a': 1})\nsame = jnp is np2"
    lines += "\nclipped = float(jnp.clip(5.0, a_min=0.0, a_max=2.0)), float(jnp.clip(5.0, 0, 3.0))"
    (tmp_path / "submission.py").write_text(f"{lines}\n{BARE}")
    source = find(str(tmp_path))
    names = dict(vars(execute(source)))
    unload(source)
    assert names["mapped"] == {"a": 2}
    assert names["clipped"] == (2.0, 3.0)
    assert names["same"]
    assert not hasattr(jax, "tree_map")


def test_a_point_is_read_as_it_was_written(tmp_path: Path) -> None:
    point = {"lr": 1e-3, "use": True, "kind": "ADAM", "none": None, "count": 3}
    (tmp_path / "submission.py").write_text(MAIN)
    (tmp_path / "tuning_search_space.json").write_text(json.dumps([point]))
    assert find(str(tmp_path)).defaults == point


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("AssertionError('Torch not compiled with CUDA enabled')", "race it with `gpus: 1`"),
    ],
)
def test_a_file_for_another_machine_is_refused_in_a_line(
    tmp_path: Path, raised: str, told: str
) -> None:
    text = MAIN.replace("    assert hyperparameters is None", f"    raise {raised}")
    (tmp_path / "submission.py").write_text(text)
    source = find(str(tmp_path))
    module = execute(source)
    params = problem.torch_parameters()
    made = build(module, source, {}, params=params, card=problem.card())
    with pytest.raises(SubmissionError, match=told) as caught:
        made.init(params.named)  # type: ignore[attr-defined]
    unload(source)
    assert "\n" not in str(caught.value)
