"""What a submission's own code opens, starts and inspects is noted; what libraries do is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.supervisor import supervise
from scoring.ground.words import Budget
from scoring.records import Outcome

from .conftest import Make

WATCH = """
import sys
from pathlib import Path
from cluster.audit import AUDIT
here = Path(sys.argv[1])
AUDIT.watch([str(here / "own" / "mine.py")], here / "run", [here / "data"])
text = (here / "own" / "mine.py").read_text()
exec(compile(text, str(here / "own" / "mine.py"), "exec"), {"here": here})
open(here / "elsewhere").close()
print(*AUDIT.seen(), sep="\\n")
"""
MINE = """
import collections, gc, os, socket, subprocess, sys
for name in ("own/state", "data/rows", "elsewhere", "run/record"):
    open(here / name).close()
open(here / "elsewhere").close()
open(here / "own" / "made", "w").close()
os.close(os.open(here / "own" / "kept", os.O_CREAT | os.O_WRONLY))
open(here / "data" / "cached", "wb").close()
collections.namedtuple("Pair", "a b")  # looks at frames itself
subprocess.run([sys.executable, "--version"], stdout=subprocess.DEVNULL)
sys._getframe()
gc.get_objects()
with socket.socket() as one:
    one.connect_ex(("127.0.0.1", 9))
"""


def test_only_what_is_the_submissions_own_is_noted(tmp_path: Path) -> None:
    for name in ("own/state", "own/mine.py", "data/rows", "elsewhere", "run/record"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MINE)
    command = [sys.executable, "-c", WATCH, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    noted = done.stdout.splitlines()
    assert noted[0] == f"opened: {tmp_path.resolve() / 'elsewhere'}"
    assert noted[1] == f"opened: {tmp_path.resolve() / 'run' / 'record'}"
    assert noted[2:4] == [f"wrote: {tmp_path.resolve() / 'own' / one}" for one in ("made", "kept")]
    assert [line.split()[:2] for line in noted[4:]] == [
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
