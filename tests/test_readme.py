"""The README keeps its word: its file runs, its commands exist, its numbers are the config's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cluster.checks.conformance import check
from submissions.source import find
from suite.cli import main

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    spans = re.findall(r"`(gradathlon [^`]*)`", TEXT)
    parts = [part for line in (*lines, *spans) for part in line.split("&&")]
    words = [shlex.split(part) for part in parts]
    return [found[1:] for found in words if found and found[0].endswith("gradathlon")]


def test_the_ten_line_submission_passes_its_check(tmp_path: Path) -> None:
    (text,) = blocks("python")
    assert len(text.splitlines()) <= 10
    path = tmp_path / "my_opt.py"
    path.write_text(text)
    findings = list(check(find(str(path))))
    assert all(finding.ok for finding in findings), findings


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one(words: list[str]) -> None:
    """Parsed as the command line parses it; the runs themselves are in `.ci/run`."""
    stand_ins = {"WORKLOAD": "lm-toy-v2", "RUN": "runs/mine", "s3://bucket/mine": "runs/mine"}
    words = [stand_ins.get(word, word) for word in words]
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, f"no command {words[0]!r}"
    if isinstance(command, click.Group):
        assert command.get_command(click.Context(command), words[1]) is not None
        return
    # Within the front door, since click keeps the names of help for the life of a command.
    door = click.Context(main, **main.context_settings)
    command.make_context(words[0], words[1:], parent=door, resilient_parsing=False)


def test_every_link_leads_somewhere() -> None:
    rooms = [ROOT / room for room in ("suite", "cluster", "scoring", "workloads", "submissions")]
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    pages += [page for room in rooms for page in room.glob("**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_table_of_workloads_is_what_its_command_prints() -> None:
    words = re.search(r"<!-- gradathlon (list workloads .*) -->", TEXT)
    assert words
    printed = CliRunner().invoke(main, shlex.split(words[1])).stdout.strip()
    assert printed.startswith("| workload |")
    assert printed in TEXT
