"""What a submission's own code opens, starts and inspects is noted; what libraries do is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import cluster
from cluster.guards.audit import AUDIT
from cluster.guards.opened import Places, accesses
from cluster.supervision.supervisor import supervise
from scoring.ground.words import Budget
from scoring.records import Outcome

from ..conftest import Make

WATCH = """
import os, sys, tempfile
from pathlib import Path
from cluster.guards.audit import AUDIT
here = Path(sys.argv[1])
tempfile.tempdir = str(here / "scratch")
files = [str(here / "own" / "mine.py")]
AUDIT.watch(files, here / "run", [here / "cache"], tempfile.tempdir)
text = Path(files[0]).read_text()
exec(compile(text, files[0], "exec"), {"here": here})
open(here / "elsewhere").close()
print(*AUDIT.seen(), sep="\\n")
"""
OPENS = """
import mmap, os, tempfile
for name in ("own/state", "cache/rows", "elsewhere", "run/record", "own/later", "elsewhere"):
    open(here / name).close()
for name in ("own/made", "scratch/made"):
    open(here / name, "w").close()
    open(here / name).close()
os.close(os.open(here / "own" / "kept", os.O_CREAT | os.O_WRONLY))
open(here / "cache" / "cached", "wb").close()
open(here / "elsewhere", "a+").close()
os.rename(here / "cache" / "cached", here / "moved")
os.mkdir(here / "folder")
os.makedirs(here / "folder", exist_ok=True)
os.listdir(here / "folder")
with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
    file.write(b"1")
    file.flush()
    mmap.mmap(file.fileno(), 1).close()
tempfile.TemporaryFile().close()
open("/dev/null", "w").close()
open("/proc/cpuinfo").close()
"""
DOES = """
import collections, gc, socket, subprocess, sys
collections.namedtuple("Pair", "a b")  # looks at frames itself
subprocess.run([sys.executable, "--version"], stdout=subprocess.DEVNULL)
sys._getframe()
gc.get_objects()
with socket.socket() as one:
    one.connect_ex(("127.0.0.1", 9))
"""


TICK_S = 0.02
"""Longer than what a file system's clock cannot tell apart."""


def noted(folder: Path, text: str) -> list[str]:
    """What is noted of a submission of that text; `own/later` is younger than the run."""
    for name in ("own/mine.py", "own/state", "cache/rows", "elsewhere", "run/record"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "scratch").mkdir()
    time.sleep(TICK_S)
    (folder / "run" / "run.yaml").touch()
    time.sleep(TICK_S)
    (folder / "own" / "later").write_text(text)
    command = [sys.executable, "-c", WATCH, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.replace(str(folder.resolve()), "") for line in done.stdout.splitlines()]


def test_what_it_opens_is_noted_but_for_what_it_made_itself(tmp_path: Path) -> None:
    told = noted(tmp_path, OPENS)
    shared = [line for line in told if "/dev/shm/" in line]
    assert [line for line in told if line not in shared] == [
        "opened: /cache/rows",
        "opened: /elsewhere",
        "carried: /run/record",
        "carried: /own/later",
        "wrote: /own/made",
        "wrote: /own/kept",
        "wrote: /cache/cached",
        "wrote: /elsewhere",
        "wrote: /moved",
        "wrote: /folder",
    ]
    assert {line.split()[0] for line in shared} == {"wrote:"}


def test_what_compilers_and_the_harness_open_of_caches_is_theirs(tmp_path: Path) -> None:
    rows, here = tmp_path / "cache" / "rows", str(Path(cluster.__file__).parent)
    places = Places(tmp_path / "own", tmp_path / "run", [tmp_path / "cache"], "")
    for by in (["/lib/torch/_inductor/codecache.py"], [f"{here}/trial/loop.py", "/lib/pathlib.py"]):
        assert list(places.told("open", (str(rows), "r", 0), by)) == []
        assert list(places.told("open", (str(rows), "w", 0), by)) == []
    by = ["/lib/numpy/_npyio.py"]
    assert list(places.told("open", (str(rows), "r", 0), by)) == [f"opened: {rows}"]
    assert list(places.told("open", (str(rows), "w", 0), by)) == [f"wrote: {rows}"]


MODES = [
    ("r", os.O_RDONLY, (True, False)),
    ("w", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, (False, True)),
    ("a", os.O_WRONLY | os.O_CREAT | os.O_APPEND, (False, True)),
    ("r+", os.O_RDWR, (True, True)),
    ("a+", os.O_RDWR | os.O_CREAT | os.O_APPEND, (True, True)),
]


@pytest.mark.parametrize(("mode", "flags", "expected"), MODES)
def test_a_mode_and_its_flags_say_the_same(
    tmp_path: Path, mode: str, flags: int, expected: tuple[bool, bool]
) -> None:
    there = tmp_path / "there"
    there.touch()
    (by_mode,) = accesses("open", (str(there), mode, 0))
    (by_flags,) = accesses("open", (str(there), None, flags))
    assert (by_mode.reads, by_mode.writes) == expected
    assert by_flags == by_mode
    (absent,) = accesses("open", (str(tmp_path / "absent"), mode, 0))
    assert not (absent.writes and absent.reads), "what is made has nothing to be read"


def test_what_has_no_path_is_no_file() -> None:
    assert [one.path for one in accesses("open", (0, "r", 0))] == [""]
    assert [one.path for one in accesses("sqlite3.connect", (":memory:",))] == [""]
    assert list(accesses("mmap.__new__", (-1, 4096, 0, 0))) == []


def test_what_it_does_is_noted(tmp_path: Path) -> None:
    assert [line.split()[:2] for line in noted(tmp_path, DOES)] == [
        ["started:", "subprocess.Popen"],
        ["inspected:", "sys._getframe"],
        ["inspected:", "gc.get_objects"],
        ["connected:", "socket.connect"],
    ]


PRIES = """
import torch
def submission(params, lr=0.01):
    open("OUTSIDE").close()
    return torch.optim.SGD(params, lr=lr)
"""
SCRATCHES = """
import os, tempfile, torch
def submission(params, lr=0.01):
    assert tempfile.gettempdir() == os.environ["TMPDIR"] != "BEFORE"
    tempfile.mkdtemp()
    return torch.optim.SGD(params, lr=lr)
"""


@pytest.mark.network
def test_in_process_it_is_noted_and_lent_a_folder_as_well(make: Make, tmp_path: Path) -> None:
    outside, before = tmp_path.parent / f"{tmp_path.name}-outside", tempfile.gettempdir()
    outside.touch()
    texts = (PRIES.replace("OUTSIDE", str(outside)), SCRATCHES.replace("BEFORE", before))
    specs = [make(f"s{k}", text, budget=Budget(20, 100.0)) for k, text in enumerate(texts)]
    told = [done.outcome for done in cluster.run_all(specs, executor="in_process")]
    assert [outcome.end for outcome in told] == ["budget", "budget"]
    assert [outcome.extra.get("audit") for outcome in told] == [
        [f"opened: {outside.resolve()}"],
        None,
    ]
    assert tempfile.gettempdir() == before
    assert AUDIT.seen() == []


@pytest.mark.network
def test_the_outcome_tells_it(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.touch()
    budget = Budget(200, 100.0)
    for name, text in (("pries", PRIES.replace("OUTSIDE", str(outside))), ("adamw", None)):
        outcome = list(supervise(make(name, text, budget=budget)))[-1]
        assert isinstance(outcome, Outcome)
        assert outcome.end == "budget"
        expected = [f"opened: {outside.resolve()}"] if text else None
        assert outcome.extra.get("audit") == expected
