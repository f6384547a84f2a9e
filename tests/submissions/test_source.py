from __future__ import annotations

import hashlib
import pickle
import sys

import pytest

import submissions
from submissions.contract import SubmissionError
from submissions.source import parse

GOOD = '''"""What it is.

More."""
import torch

SEARCH_SPACE = {"lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"}, "k": {"feasible_points": [1]}}


def submission(params, lr, *, workload, k=-3, betas=(0.9, 0.99), name=None):
    raise SystemExit("never run by reading")
'''
LR = '{"min": 1e-4, "max": 1e-1, "scaling": "log"}'
PLAIN = "def submission(params, lr=1e-3):\n    pass\n"


def test_everything_is_read_without_running_the_file():
    source = parse("x", GOOD, "x.py")
    assert source.framework == "torch"
    assert source.arguments == ("params", "lr", "workload", "k", "betas", "name")
    assert source.hyperparameters == ("lr", "k", "betas", "name")
    assert source.defaults == {"k": -3, "betas": (0.9, 0.99), "name": None}
    assert source.space.names == ("lr", "k")
    assert source.summary == "What it is."
    assert source.closure is None
    assert source.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_file_without_params_is_for_jax():
    assert parse("x", "def submission(workload, lr=1): ...", "x.py").framework == "jax"


def test_closure_and_annotated_constants_are_read():
    text = (
        "CLOSURE: bool = True\nSEARCH_SPACE: list\nSEARCH_SPACE = [{'lr': 1}, {'lr': 2}]\n" + PLAIN
    )
    source = parse("x", text, "x.py")
    assert source.closure
    assert source.space.points == ({"lr": 1}, {"lr": 2})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = (1,\n", "1: not valid Python: '(' was never closed"),
        ("import torch\ndef submission(:\n", "2: not valid Python: invalid syntax"),
        ("", "1: no function `submission`; `gradathlon new` writes one to start from"),
        ("def submision(params): ...", "1: no function `submission`; did you mean 'submision'?"),
        (
            "\nclass submission: ...",
            "2: `submission` is not a plain function; write `def submission(...):` at the top level"
            " of the file",
        ),
        (
            "if True:\n    def submission(): ...",
            "2: `submission` is not a plain function; write `def submission(...):` at the top level"
            " of the file",
        ),
        (
            "from optim import make as submission",
            "1: `submission` is not a plain function; write `def submission(...):` at the top level"
            " of the file",
        ),
        (
            "async def submission(): ...",
            "1: `submission` is not a plain function; write `def submission(...):` at the top level"
            " of the file",
        ),
        (PLAIN * 2, "3: `submission` is defined twice, here and on line 1; keep one"),
        *(
            (
                f"{PLAIN}{again}",
                f"{3 + again.count(chr(10))}: `submission` is reassigned here; keep one, as its"
                " arguments are read without running the file",
            )
            for again in (
                "submission = print(submission)",
                "if 1:\n    def submission(params, lr=2): ...",
                "from my_opt import submission",
            )
        ),
        (
            "def submission(params, /): ...",
            "1: argument `params` is positional-only; remove the `/`",
        ),
        (
            "def submission(params, *rest): ...",
            "1: argument `*rest` cannot be tuned; name every hyperparameter as an argument of its"
            " own",
        ),
        (
            "def submission(\n    params,\n    **rest): ...",
            "3: argument `**rest` cannot be tuned; name every hyperparameter as an argument of its"
            " own",
        ),
        (
            "def submission(params, lr=1 / 3): ...",
            "1: the default of `lr` is `1 / 3`; write a literal: it is read without running the"
            " file",
        ),
        (
            f"def submission(params, lr={' + '.join('1' * 1200)}): ...",
            f"1: the default of `lr` is `{'1 + ' * 15}`; write a literal: it is read"
            " without running the file",
        ),
        (
            "def submission(params, lr=b'x'): ...",
            "1: the default of `lr` must be a number, string, True, False, None, or a list"
            " or string-keyed dict of these",
        ),
        (
            "def submission(params, mode='\\ud800'): ...",
            "1: the default of `mode` must be a number, string, True, False, None, or a list"
            " or string-keyed dict of these",
        ),
        (
            "def submission(params, lr=1e999): ...",
            "1: the default of `lr` must be finite, found inf",
        ),
        (
            "def submission(params,\n    betas=(0.9, {'b': -1e999})): ...",
            "2: the default of `betas` must be finite, found (0.9, {'b': -inf})",
        ),
        (
            f"def submission(params, n={10**309}): ...",
            f"1: the default of `n` must be finite, found {10**309}",
        ),
        *(
            (
                f"{before}0x{'f' * 5000}{after}",
                f"1: {what}, found an integer with more digits than Python prints",
            )
            for before, after, what in (
                ("def submission(params, n=", "): ...", "the default of `n` must be finite"),
                (
                    "SEARCH_SPACE = {'lr': {'min': 1, 'max': ",
                    f", 'scaling': 'log'}}}}\n{PLAIN}",
                    "SEARCH_SPACE: 'lr': `max` must be a finite number",
                ),
                (
                    "SEARCH_SPACE = [{'lr': ",
                    f"}}]\n{PLAIN}",
                    "SEARCH_SPACE: 'lr': a value must be a number, a string, True, False or None",
                ),
            )
        ),
        (
            "def submission(params, lr): ...",
            "1: `lr` has no default; give it one, or add it to SEARCH_SPACE; only"
            " `params` (torch) and `workload` are passed in",
        ),
        (
            f"SEARCH_SPACE = {{\n    'lr': {LR},\n    'weight_decy': {LR}}}\n"
            "def submission(lr=1, weight_decay=0): ...",
            "3: SEARCH_SPACE: `submission` has no hyperparameter 'weight_decy'; did you mean"
            " 'weight_decay'?",
        ),
        (
            f"SEARCH_SPACE = {{'workload': {LR}}}\ndef submission(workload, lr=1): ...",
            "1: SEARCH_SPACE: `submission` has no hyperparameter 'workload'; known: lr",
        ),
        (
            f"SEARCH_SPACE = {{'lr': {LR},\n  'lr': {LR}}}\n{PLAIN}",
            "2: SEARCH_SPACE: 'lr' is given twice; keep one",
        ),
        (
            "LOW = 1\nSEARCH_SPACE = {'lr': {'min': LOW}}\n" + PLAIN,
            "2: SEARCH_SPACE is `{'lr': {'min': LOW}}`; write a literal: it is read without running"
            " the file",
        ),
        (
            "SEARCH_SPACE = {'lr': {\n  'min': 1.0,\n  'max': 0.1,\n  'scaling': 'log'}}\n" + PLAIN,
            "2: SEARCH_SPACE: 'lr': `min` must be below `max`, found 1.0 and 0.1",
        ),
        (
            "SEARCH_SPACE = [{'lr': 1},\n  {'lr': [1]}]\n" + PLAIN,
            "2: SEARCH_SPACE: 'lr': a value must be a number, a string, True, False or None, "
            "found [1]",
        ),
        (
            "SEARCH_SPACE = [{'lr': 1}]\nSEARCH_SPACE = [{'lr': 2}]\n" + PLAIN,
            "2: SEARCH_SPACE is assigned twice; keep one",
        ),
        *(
            (
                f"SEARCH_SPACE = {{'lr': {LR}}}\n{change}\n{PLAIN}",
                f"{2 + change.count(':')}: SEARCH_SPACE is built or changed here; assign it once,"
                " as a literal at the top level: it is read without running the file",
            )
            for change in (
                "SEARCH_SPACE['wd'] = SEARCH_SPACE['lr']",
                "SEARCH_SPACE |= {}",
                "if True:\n  SEARCH_SPACE = []",
                "for k in (1,):\n  SEARCH_SPACE.update(k=[])",
                "SEARCH_SPACE['lr']['max'], x = 1.0, 2",
                "from my_spaces import SEARCH_SPACE",
            )
        ),
        ("CLOSURE = 1\n" + PLAIN, "1: CLOSURE must be True or False"),
        (
            "\nfrom . import helper\n" + PLAIN,
            "2: imports .; move what it needs into the file, or use a folder with submission.py",
        ),
        (
            "from .helper import make\n" + PLAIN,
            "1: imports .helper; move what it needs into the file, or use a folder with"
            " submission.py",
        ),
    ],
)
def test_a_bad_file_is_one_line_with_file_and_line(tmp_path, text, line):
    path = tmp_path / "my_opt.py"
    path.write_text(text)
    with pytest.raises(SubmissionError) as caught:
        submissions.find(str(path))
    assert str(caught.value) == f"{path}:{line}"


def test_what_python_cannot_even_parse_is_one_line(tmp_path):
    path = tmp_path / "my_opt.py"
    path.write_text("x = " + "-" * 100_000 + "1\ndef submission(params): ...\n")
    with pytest.raises(SubmissionError) as caught:
        submissions.find(str(path))
    assert str(caught.value).startswith(f"{path}:1: not valid Python: ")


def test_a_docstring_that_cannot_be_written_out_is_told_as_far_as_it_can():
    assert parse("x", f"'\\ud800 halves'\n{PLAIN}", "x.py").summary == "? halves"


def test_what_is_said_of_the_function_does_not_bind_it_anew():
    text = f"{PLAIN}submission.notes = {{}}\nsubmission.notes['a'] = submission.notes.update(b=1)\n"
    assert parse("x", text, "x.py").arguments == ("params", "lr")


def test_a_long_sum_is_read():
    text = f"NAMES = {' + '.join(['[1]'] * 1200)}\n{PLAIN}"
    assert parse("x", text, "x.py").defaults == {"lr": 1e-3}


def test_a_missing_file_names_the_nearest_one(tmp_path):
    (tmp_path / "my_opt.py").write_text(PLAIN)
    with pytest.raises(
        SubmissionError, match=r"my_otp\.py: no such file; did you mean 'my_opt.py'"
    ):
        submissions.find(str(tmp_path / "my_otp.py"))
    with pytest.raises(SubmissionError, match=r"no such file; `gradathlon new .*/z.py` writes one"):
        submissions.find(str(tmp_path / "none" / "z.py"))


def test_wrong_bytes_cannot_be_read(tmp_path):
    (tmp_path / "x.py").write_bytes(b"# a\n# \xff\n")
    with pytest.raises(SubmissionError, match=r"x\.py:2: not UTF-8"):
        submissions.find(str(tmp_path / "x.py"))


@pytest.mark.parametrize("stem", ["my opt", "reference-torch", "-x", "a,b"])
def test_a_file_whose_name_cannot_stand_on_a_board_is_refused(tmp_path, stem):
    path = tmp_path / f"{stem}.py"
    path.write_text(PLAIN)
    with pytest.raises(SubmissionError, match=r"cannot name a submission; rename it: use letters"):
        submissions.find(str(path))


def test_unknown_names_answer_with_the_nearest(tmp_path, monkeypatch):
    with pytest.raises(SubmissionError, match=r"'nadamv'; did you mean 'nadamw'"):
        submissions.find("nadamv")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lookahead.py").write_text(PLAIN)
    with pytest.raises(SubmissionError, match=r"'lookahead'; did you mean '\./lookahead\.py'\?$"):
        submissions.find("lookahead")
    assert submissions.find("./lookahead.py").name == "lookahead"


def test_machinery_beside_the_built_ins_is_no_submission():
    for name in ("source", "space", "load", "contract", "templates", "__init__"):
        assert name not in submissions.shipped()


def test_reading_needs_no_framework():
    import subprocess

    code = (
        "import sys, submissions\n"
        "[submissions.find(name) for name in submissions.shipped()]\n"
        "assert not {'torch', 'jax', 'optax', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def install(folder, name, files, entries):
    """What pip leaves of a package: its files and a dist-info folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[gradathlon.submissions]\n{lines}")


BOOM = "raise RuntimeError('a package must not be imported to be found')\n"


def test_an_entry_point_is_found_without_importing_its_package(tmp_path, monkeypatch):
    files = {"their_pkg/__init__.py": BOOM, "their_pkg/fast.py": PLAIN, "their_pkg/late.py": "x"}
    entries = {
        "fast_opt": "their_pkg.fast",
        "also_fast": "their_pkg.fast:submission",
        "gone": "their_pkg.gone",
        "below": "their_pkg.fast.this",
        "sgd": "their_pkg.fast",
    }
    install(tmp_path, "their-pkg", files, entries)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(entries) <= set(submissions.installed())
    source = submissions.find("fast_opt")
    assert (source.name, source.text) == ("fast_opt", PLAIN)
    assert source.origin == str(tmp_path / "their_pkg/fast.py")
    assert submissions.find("also_fast").text == PLAIN
    assert "their_pkg" not in sys.modules
    with pytest.raises(SubmissionError, match="did you mean 'fast_opt'"):
        submissions.find("fastopt")
    with pytest.raises(SubmissionError, match=r"'gone' of the package their-pkg: no source file"):
        submissions.find("gone")
    monkeypatch.syspath_prepend(tmp_path / "their_pkg")  # with a `this` of Python's own as well
    with pytest.raises(SubmissionError, match=r"'below' of the package their-pkg: no source file"):
        submissions.find("below")
    offered = "sgd: provided by Gradathlon itself and the package their-pkg; give the path"
    with pytest.raises(SubmissionError, match=offered):
        submissions.find("sgd")


def test_describe_tells_ranges_and_defaults():
    lines = submissions.describe(parse("x", GOOD, "x.py")).splitlines()
    assert lines[0] == "x: What it is."
    assert "  lr = no default  (tuned: 0.0001 to 0.1, log)" in lines
    assert "  k = -3  (tuned: one of 1)" in lines
    assert "  betas = (0.9, 0.99)" in lines
