"""What is read from a submission's text alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.checks.review import refuse_missing_imports, worth_a_look
from submissions.contract import SubmissionError
from submissions.source import Source, find

BODY = "\ndef submission(lr=0.1):\n    import of_its_own\n    return optax.sgd(lr)\n"
SOFT = "try:\n    import no_such_thing\nexcept ImportError:\n    pass\n"


def source(tmp_path: Path, head: str) -> Source:
    (tmp_path / "mine.py").write_text(head + BODY)
    return find(str(tmp_path / "mine.py"))


@pytest.mark.parametrize("line", ["import no_such_thing.part", "from no_such_thing import part"])
def test_a_package_that_is_not_here_is_named_before_the_race(tmp_path: Path, line: str) -> None:
    with pytest.raises(SubmissionError, match=r"mine\.py:2: imports no_such_thing, which is not"):
        refuse_missing_imports(source(tmp_path, f"import optax\n{line}\n"))


def test_imports_with_another_way_are_let_through(tmp_path: Path) -> None:
    refuse_missing_imports(source(tmp_path, f"import optax, os.path\n{SOFT}"))


def test_what_prys_or_sets_what_is_fixed_is_told(tmp_path: Path) -> None:
    head = "import gc, math\nfrom cluster.spec import TrialSpec\nimport sys\nsys._getframe(0)\n"
    told = worth_a_look(source(tmp_path, head))
    assert told == ["line 1 imports gc", "line 2 imports cluster.spec", "line 4 calls _getframe"]


def test_what_is_run_when_an_object_goes_is_told_of_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "submission.py").write_text("import weakref\nfrom .late import Late\n" + BODY)
    (folder / "notes.py").write_text("no Python, and of no use")
    (folder / "late.py").write_text("class Late:\n    def __del__(self):\n        pass\n")
    told = worth_a_look(find(str(folder)))
    assert told == ["line 1 imports weakref", "late.py line 2 defines __del__"]


def test_an_honest_file_is_not_pointed_at(tmp_path: Path) -> None:
    assert worth_a_look(source(tmp_path, "import optax\nimport math\n")) == []
