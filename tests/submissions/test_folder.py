"""Submissions of several files: one text, one digest, imports among themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submissions.bundle import join, split
from submissions.contract import SubmissionError
from submissions.load import build, execute, unload
from submissions.source import find, parse
from tests.submissions import problem

MAIN = '"""Halves."""\nfrom .rules.halving import Halved\ndef submission(params, lr=0.1):\n'
MAIN += "    return Halved(params, lr=lr)\n"
RULE = "import torch\nfrom ..numbers_of import HALF\n\nclass Halved(torch.optim.SGD):\n"
RULE += "    def __init__(self, params, lr):\n        super().__init__(params, lr=lr * HALF)\n"

texts = st.text(st.sampled_from("ab #|\n\t:é"), max_size=30)
paths = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5})?\.py", fullmatch=True)


@given(texts, st.dictionaries(paths, texts, max_size=3))
def test_what_is_joined_comes_apart_again(main: str, files: dict[str, str]) -> None:
    again, others = split(join(main, files))
    assert others == files
    assert again == (main if main.endswith("\n") or not files else f"{main}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "halves"
    (made / "rules").mkdir(parents=True)
    (made / "submission.py").write_text(MAIN)
    (made / "rules" / "halving.py").write_text(RULE)
    (made / "numbers_of.py").write_text("HALF = 0.5\n")
    return made


def test_files_find_each_other_and_leave_nothing_behind(folder: Path) -> None:
    before, finders = list(sys.path), list(sys.meta_path)
    source = find(str(folder))
    assert source.name == "halves"
    # What travels is the text alone.
    for path in sorted(folder.rglob("*.py")):
        path.unlink()
    sent = parse(source.name, source.text, source.origin)
    assert sent == source
    params = problem.torch_parameters()
    module = execute(sent)
    made = build(module, sent, {}, params=params, card=problem.card())
    assert made.param_groups[0]["lr"] == 0.05  # type: ignore[attr-defined]
    assert type(made).__module__ == f"{module.__name__}.rules.halving"
    unload(sent)
    assert sys.path == before
    assert sys.meta_path == finders
    assert not [name for name in sys.modules if name.startswith(module.__name__)]


def test_every_file_counts_in_the_digest(folder: Path) -> None:
    before = find(str(folder)).sha256
    (folder / "numbers_of.py").write_text("HALF = 0.25\n")
    assert find(str(folder)).sha256 != before


def test_a_fault_beside_is_told_with_its_own_file_and_line(folder: Path) -> None:
    (folder / "numbers_of.py").write_text("\nHALF = 1 / 0\n")
    source = find(str(folder))
    with pytest.raises(SubmissionError, match=r"numbers_of\.py:2: ZeroDivisionError"):
        execute(source)


def test_an_import_by_the_bare_name_is_told_how_to_be_written(folder: Path) -> None:
    (folder / "submission.py").write_text("import numbers_of\ndef submission(params): ...\n")
    with pytest.raises(SubmissionError, match=r"write `from \.numbers_of import \.\.\.`"):
        execute(find(str(folder)))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from .nowhere import X", "imports .nowhere, not installed here and no file beside it"),
        ("from .submission import X", "imports .submission, the main file itself; move what both"),
    ],
)
def test_what_is_missing_beside_is_told_as_it_was_written(
    folder: Path, line: str, told: str
) -> None:
    (folder / "numbers_of.py").write_text(f"{line}\nHALF = 0.5\n")
    with pytest.raises(SubmissionError) as caught:
        execute(find(str(folder)))
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{folder}/numbers_of.py:1: ")


def test_a_folder_without_its_main_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"no submission\.py in it"):
        find(f"{tmp_path}/")


def test_a_folder_hides_no_file_of_its_name_unless_it_is_a_package(folder: Path) -> None:
    (folder / "submission.py").write_text("from .rules import KIND\ndef submission(params): ...\n")
    (folder / "rules.py").write_text("KIND = 'a file'\n")
    source = find(str(folder))
    assert execute(source).KIND == "a file"
    (folder / "rules" / "__init__.py").write_text("KIND = 'a package'\n")
    unload(source)
    source = find(str(folder))
    assert execute(source).KIND == "a package"
    unload(source)
