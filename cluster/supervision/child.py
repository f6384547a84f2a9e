"""The process of one trial, started by its supervisor: trains and reports through a pipe.

Started as `cluster.process.python` says, with the pickled trial and its cores on standard input.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from cluster.cores import pin
from cluster.faults import NodeError
from cluster.guards.audit import AUDIT
from cluster.process import die_with_parent, inductor_cache, lend_scratch, set_environment
from cluster.spec import TrialSpec, Update
from scoring.ground.cache import cache_folder
from scoring.records import Outcome, decode, encode
from submissions.source import files_of

_SET_NAME = 15  # PR_SET_NAME
NAME = "trial"
"""What `ps` and `top` call the process of a trial."""


def main() -> None:
    """Race the trial given on standard input, in a process of its own that has just started."""
    race_given(int(sys.argv[1]))


def race_given(pipe: int) -> None:
    """Race the trial given on standard input, and tell its news in the pipe."""
    die_with_parent()
    ctypes.CDLL(None).prctl(_SET_NAME, NAME.encode(), 0, 0, 0)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # if memory runs out, a trial goes and not what looks after it
    spec, cores, parent, scratch = pickle.load(sys.stdin.buffer)
    if os.getppid() != parent:
        return
    os.set_inheritable(pipe, False)
    if cores:
        pin(set(cores))
    set_environment(spec.resources)  # before anything imports torch
    lend_scratch(scratch)
    watch(spec, scratch)
    _race(spec, cores, pipe)


def watch(spec: TrialSpec, scratch: str) -> None:
    """Note from now on what the trial's submission opens, starts and inspects in this process."""
    caches = [cache_folder(), inductor_cache(), Path.home() / ".triton"]
    AUDIT.watch(files_of(spec.source), spec.run, caches, scratch)


def _race(spec: TrialSpec, cores: list[int], pipe: int) -> None:
    from cluster.trial.loop import run_trial

    try:
        for news in run_trial(spec, cores):
            _tell(pipe, to_text(news))
    except NodeError as error:
        _tell(pipe, json.dumps({"node": str(error)}))
    if spec.resources.ranks > 1:
        from cluster.trial.ranks import dismiss

        dismiss()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that a submission left, and its handlers at exit, have had their time.
    os._exit(0)


def _tell(pipe: int, text: str) -> None:
    data = f"{text}\n".encode()
    while data:
        data = data[os.write(pipe, data) :]


def to_text(news: Update | Outcome) -> str:
    """One line of JSON."""
    if isinstance(news, Outcome):
        return json.dumps({"outcome": encode(news)})
    fields = dataclasses.asdict(news)
    del fields["key"]
    return json.dumps({"update": fields})


def from_text(text: str, spec: TrialSpec) -> Update | Outcome | NodeError:
    """The inverse of `to_text`; a node's error comes as it was raised.

    Raises:
        ValueError: something else wrote into the pipe.
    """
    body: Any = json.loads(text)
    if "update" in body:
        return Update(spec.key, **body["update"])
    if "node" in body:
        return NodeError(body["node"])
    outcome = decode(body["outcome"])
    if not isinstance(outcome, Outcome):
        raise ValueError("not an outcome")
    return outcome
