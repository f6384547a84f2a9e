"""The executor that this room's README writes is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cluster
from cluster.spec import Update
from scoring.records import read_run

from .conftest import Make

pytestmark = pytest.mark.network

TEXT = (Path(cluster.__file__).parent / "README.md").read_text(encoding="utf-8")


def test_the_executor_of_the_page_races(make: Make, tmp_path: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), names)
    specs = [make("adamw"), make("broken", "def submission(params):\n    raise ValueError\n")]
    news: list[Update] = []
    finished = list(names["run_supervised"](specs, news.append))  # type: ignore[operator]
    assert [one.spec.submission for one in finished] == ["adamw", "broken"]
    assert [one.outcome.end for one in finished] == ["budget", "failed"]
    assert {update.key.submission for update in news} >= {"adamw"}
    ends = {r.header.submission: r.outcome.end for r in read_run(tmp_path / "run") if r.outcome}
    assert ends["adamw"] == "budget"
