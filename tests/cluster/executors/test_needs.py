from __future__ import annotations

import importlib.metadata
from pathlib import Path

from cluster.executors.needs import lacking, needs
from submissions.source import find, parse


def test_what_a_file_imports_at_once_is_needed_in_the_version_that_is_here() -> None:
    (name,) = needs([find("prodigy")])
    version = importlib.metadata.version("prodigyopt")
    assert needs([find("prodigy")])[name] == {"prodigyopt": version}
    assert not lacking(needs([find("prodigy"), find("adamw")]))


def test_a_node_says_what_it_lacks_and_in_which_version() -> None:
    told = lacking({"nowhere_at_all": {"nowhere": "1.2"}, "optax": {"optax": "0.0.1"}})
    here = importlib.metadata.version("optax")
    assert told == [
        "nowhere_at_all is not installed (nowhere 1.2)",
        f"optax is {here}, not 0.0.1",
    ]


def test_what_may_have_another_way_is_not_asked_for(tmp_path: Path) -> None:
    text = (
        "import os, json, torch, numpy as np\n"
        "try:\n    import never_heard_of\nexcept ImportError:\n    pass\n"
        "def submission(params, lr=0.1):\n    import not_yet\n    return torch.optim.SGD(params)\n"
    )
    assert needs([parse("mine", text, "mine.py")]) == {}


def test_a_file_of_the_submissions_own_folder_travels_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "beside.py").write_text("X = 1\n")
    (folder / "submission.py").write_text(
        "import torch\nimport beside\nimport not_here\n"
        "def submission(params, lr=0.1):\n    return torch.optim.SGD(params, lr=lr)\n"
    )
    assert needs([find(str(folder))]) == {"not_here": {}}
