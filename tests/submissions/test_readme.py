"""The examples of this room's README pass what `gradathlon check` asks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import submissions
from cluster.checks.conformance import check_here, default_workloads
from submissions.source import parse

TEXT = (Path(submissions.__file__).parent / "README.md").read_text(encoding="utf-8")
# Its matrices are small: Muon makes a hundred steps.
(WORKLOAD,) = (id for id in default_workloads() if id.startswith("lm-"))
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_there_are_examples_of_both_frameworks() -> None:
    frameworks = [parse("mine", text, "mine.py").framework for text in EXAMPLES]
    assert frameworks == ["torch", "jax", "torch"]


@pytest.mark.parametrize("text", EXAMPLES, ids=["tuple", "jax", "object"])
def test_an_example_passes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    found = check_here(parse("mine", text, "mine.py"), [WORKLOAD])
    assert [finding for finding in found if not finding.ok] == []


def test_every_file_it_names_is_here() -> None:
    for name in re.findall(r"`(\w+\.py)`", TEXT):
        assert name == "submission.py" or (Path(submissions.__file__).parent / name).is_file()
