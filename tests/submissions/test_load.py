from __future__ import annotations

import dataclasses
import linecache
import pickle
import sys
import traceback
from pathlib import Path

import pytest

import submissions
from submissions.contract import SubmissionError
from submissions.load import build, execute, unload
from submissions.source import parse
from submissions.templates import template
from tests.submissions import problem

BAD = Path(__file__).parent / "bad"


@pytest.fixture
def load():
    """Execute a text as a submission, forgotten at the end of the test."""
    sources = []

    def run(text, origin="my_opt.py"):
        source = parse("my_opt", text, origin)
        sources.append(source)
        return source, execute(source)

    yield run
    for source in sources:
        unload(source)


def call(source, module, **hyperparameters):
    params = problem.torch_parameters() if source.framework == "torch" else None
    return build(module, source, hyperparameters, params=params, card=problem.card())


def test_a_module_is_named_after_its_digest_and_known_while_it_runs(load):
    text = (
        "import sys, dataclasses\n"
        "HERE = sys.modules[__name__].__name__\n"
        "@dataclasses.dataclass\nclass State:\n    x: int = 1\n"
        "def submission(lr=1): ...\n"
    )
    source, module = load(text)
    assert module.__name__ == module.HERE == f"submission_{source.sha256[:16]}"
    assert pickle.loads(pickle.dumps(module.State(2))) == module.State(2)
    unload(source)
    assert module.__name__ not in sys.modules
    assert source.origin not in linecache.cache


def test_each_execution_starts_with_fresh_globals(load):
    source, first = load("SEEN = []\ndef submission(lr=1): ...\n")
    first.SEEN.append(1)
    assert execute(source).SEEN == []


def test_a_traceback_shows_lines_of_a_file_that_is_not_here(load):
    text = "def submission(lr=1):\n    return lr / 0  # the guilty line\n"
    source, module = load(text, "/not/here/my_opt.py")
    with pytest.raises(SubmissionError) as caught:
        call(source, module)
    assert str(caught.value) == "/not/here/my_opt.py:2: ZeroDivisionError: division by zero"
    linecache.checkcache()
    shown = "".join(traceback.format_exception(caught.value.__cause__))
    assert "the guilty line" in shown


def test_what_a_submission_prints_stays_out_of_stdout(load, capsys):
    text = "print('hello')\nimport optax\ndef submission(lr=1):\n    print(lr)\n"
    source, module = load(text + "    return optax.sgd(lr)\n")
    call(source, module, lr=3)
    assert capsys.readouterr() == ("", "hello\n3\n")


def test_a_submission_cannot_end_the_process(load):
    with pytest.raises(SubmissionError, match=r"^my_opt\.py:2: SystemExit: 3$"):
        load("import sys\nsys.exit(3)\ndef submission(lr=1): ...\n")
    source, module = load("def submission(lr=1): raise SystemExit\n")
    with pytest.raises(SubmissionError, match=r"^my_opt\.py:1: SystemExit$"):
        call(source, module)


def test_only_the_reserved_names_that_are_asked_for_are_handed_in(load):
    text = (
        "class Made:\n"
        "    def __init__(self, **given): self.given = given\n"
        "    def init(self, params): ...\n"
        "    def update(self, params, state, batch, problem): ...\n"
        "def submission({0}): return Made(**locals())\n"
    )
    torch_only, module = load(text.format("params, lr=1"))
    made = call(torch_only, module)
    assert list(made.given) == ["params", "lr"]
    assert [tuple(p.shape) for p in made.given["params"].of("norm")] == [(12,)]
    jax, module = load(text.format("lr=1, *, workload"))
    made = call(jax, module, lr=3)
    assert made.given["lr"] == 3
    assert made.given["workload"].step_hint == problem.STEPS


def test_what_a_file_changes_in_its_card_the_next_build_does_not_meet(load):
    # A trial builds twice, to warm up and to race.
    source, module = load(
        "import optax\n"
        "def submission(workload):\n"
        "    assert 'gain' in workload.roles and 'x' in workload.examples\n"
        "    for known in (workload.roles, workload.shapes, workload.examples): known.clear()\n"
        "    return optax.sgd(1.0)\n"
    )
    card = dataclasses.replace(problem.card(), examples={"x": ((6,), "float32")})
    for _ in range(2):
        build(module, source, {}, params=None, card=card)
    assert card.roles == problem.ROLES


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("params): params.of('weights')", r"unknown role; did you mean 'weight'\?$"),
        ("workload): workload.step_hints", r"`workload` has no `step_hints`; it has step_hint, "),
        (
            "params): import optax; return optax.sgd(1.0)",
            r"return a torch optimizer, .*; for JAX leave `params` out of its arguments$",
        ),
    ],
)
def test_what_newcomers_mistake_is_answered_with_what_there_is(load, text, told):
    source, module = load(f"def submission({text}\n")
    with pytest.raises(SubmissionError, match=told):
        call(source, module)


def test_wrong_hyperparameters_are_named(load):
    source, module = load(
        "SEARCH_SPACE = [{'lr': 1}]\ndef submission(lr, weight_decay=0): return lr\n"
    )
    with pytest.raises(SubmissionError, match=r"'weight_decy'; did you mean 'weight_decay'\?$"):
        call(source, module, lr=1, weight_decy=0)
    with pytest.raises(SubmissionError, match="'lr' is not set; give it a value or a default"):
        call(source, module)
    with pytest.raises(SubmissionError, match="no hyperparameter 'workload'"):
        call(source, module, lr=1, workload=3)


def test_a_package_that_imports_what_is_not_there_is_named(load, tmp_path, monkeypatch):
    (tmp_path / "wants_another").mkdir()
    (tmp_path / "wants_another" / "__init__.py").write_text("from . import part\n")
    (tmp_path / "wants_another" / "part.py").write_text("import not_there.at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    says = r"1: wants_another imports not_there, which is not installed here; pip install it$"
    with pytest.raises(SubmissionError, match=says):
        load("import wants_another\ndef submission(): return wants_another\n")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("    import not_there\n", "2: imports not_there, not installed here; a submission is one"),
        (
            "    raise ModuleNotFoundError('pip install their-extra')\n",
            "2: ModuleNotFoundError: pip install their-extra",
        ),
    ],
)
def test_what_is_imported_when_it_is_built_is_told_alike(load, body, told):
    source, module = load(f"def submission():\n{body}")
    with pytest.raises(SubmissionError, match=told):
        call(source, module)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("raises_at_import", "5: AttributeError: module 'torch' has no attribute 'no_such_name'"),
        (
            "imports_sibling",
            "3: imports raises_at_import, not installed here; a submission is one file, or a"
            " folder with submission.py, plus installed packages",
        ),
        ("raises_at_build", "7: ValueError: Invalid learning rate: -1.0"),
        (
            "returns_none",
            "6: `submission` returned None; return a torch optimizer, a tuple of optimizers and"
            " lr_schedulers, or an object with `init` and `update`",
        ),
        (
            "returns_none_jax",
            "6: `submission` returned None; return an optax transformation, or an object with"
            " `init` and `update`",
        ),
        (
            "returns_wrong",
            "6: `submission` returned a GradientTransformationExtraArgs; return a torch optimizer,"
            " a tuple of optimizers and lr_schedulers, or an object with `init` and `update`; for"
            " JAX leave `params` out of its arguments",
        ),
    ],
)
def test_a_bad_submission_is_one_line_with_file_and_line(name, line):
    path = BAD / f"{name}.py"
    source = submissions.find(str(path))
    with pytest.raises(SubmissionError) as caught:
        call(source, execute(source))
    unload(source)
    assert str(caught.value) == f"{path}:{line}"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.py")), ids=lambda path: path.stem)
def test_what_only_running_can_show_is_not_found_by_reading(path):
    source = submissions.find(str(path))
    assert source.framework == ("jax" if path.stem.endswith("_jax") else "torch")


def test_the_bad_steps_do_what_they_are_for():
    source = submissions.find(str(BAD / "makes_nan.py"))
    run = problem.TorchRun(
        params := problem.torch_parameters(),
        build(execute(source), source, {}, params=params, card=problem.card()),
    )
    unload(source)
    losses = run.steps(12)
    assert [loss != loss for loss in losses] == [False] * 10 + [True] * 2

    source = submissions.find(str(BAD / "raises_in_step.py"))
    params = problem.torch_parameters()
    built = build(execute(source), source, {}, params=params, card=problem.card())
    unload(source)
    run = problem.TorchRun(params, built)
    run.steps(4)
    with pytest.raises(RuntimeError, match="at step 5"):
        run.steps(1)


def test_the_folder_of_a_submission_is_not_on_the_path():
    before = list(sys.path)
    source = submissions.find(str(BAD / "makes_nan.py"))
    execute(source)
    unload(source)
    assert sys.path == before


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_template_runs_as_it_stands(framework, load):
    text = template(framework)
    assert len(text.splitlines()) <= 10
    source, module = load(text)
    assert source.framework == framework
    assert source.space.names == ("lr",)
    if framework == "torch":
        params = problem.torch_parameters()
        built = build(module, source, {"lr": 0.01}, params=params, card=problem.card())
        losses = problem.TorchRun(params, built).steps(30)
    else:
        import jax.numpy as jnp

        arrays = {name: jnp.asarray(array) for name, array in problem.arrays().items()}
        built = build(module, source, {"lr": 0.01}, params=None, card=problem.card())
        losses = problem.JaxRun(arrays, built).steps(30)
    assert losses[-1] < 0.5 * losses[0]


def test_annotations_are_what_the_file_wrote(load):
    """Packages that look at them (jaxtyping, pydantic, torch.jit) need types, not their names."""
    _, module = load(
        "def f(x: int): ...\nKIND = f.__annotations__['x']\ndef submission(params): ...\n"
    )
    assert module.KIND is int
