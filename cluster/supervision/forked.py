"""Processes that have imported a framework: trials that follow are forked from one.

On a worker that races one trial after the other, imports and the reading of data are paid for once
and not by each. The process that stands ready runs no submission's code: a trial is a copy of it,
changes nothing in it, and becomes the supervisor's own child.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import workloads
from cluster.cores import pin
from cluster.node_data import fetch_once
from cluster.process import python, set_environment, threads
from cluster.spec import TrialSpec
from cluster.supervision import tree
from cluster.supervision.child import race_given
from scoring.ground.words import Resources

_MODULES = {
    # The first optimizer of torch's imports its compiler, whether it compiles or not.
    "torch": ("torch", "torch._dynamo", "cluster.learners.learner_torch"),
    "jax": ("jax", "optax", "cluster.learners.learner_jax"),
}
_PATIENCE_S = 300.0
_LONGEST = 65_536
"""Bytes of what it is asked, at most: a workload's id and the cores."""
_MOST_BYTES = 2_000_000_000
"""Of data: who holds more makes room before the next trial."""
_LOOK_S = 0.01


class Forked:
    """A child of this process that another started; as `subprocess.Popen` where it is used."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # reaped with all that was left
                self.returncode = -signal.SIGKILL
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("a trial", timeout or 0.0)
            time.sleep(_LOOK_S)
        return code

    def kill(self) -> None:
        """End it."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class _Ready:
    """One process that stands ready, and the line to it."""

    def __init__(self, framework: str, resources: Resources, cores: Sequence[int]) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                python(__name__, theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=os.environ | threads(resources),
            )
        self._line.settimeout(_PATIENCE_S)
        with self._line.makefile("wb") as file:
            pickle.dump((framework, resources, list(cores)), file)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def fork(self, workload: str, cores: Sequence[int], descriptors: Sequence[int]) -> Forked:
        """A copy of it, with these for its standard input, its news and its log.

        The workload's data are opened first, unless they were for an earlier trial: on the trial's
        own cores, since by now another may race on those of the last.

        Raises:
            OSError: it is gone, does not answer, or must not be copied.
        """
        asked = json.dumps([workload, *cores]).encode()
        socket.send_fds(self._line, [asked], list(descriptors))
        pid = int(self._line.recv(32) or 0)
        if not pid:
            raise OSError("the standby process is gone, or must not be forked")
        return Forked(pid)

    @property
    def is_large(self) -> bool:
        """Whether it holds more data than it should for the trials that come."""
        return tree.private_bytes(self._process.pid) > _MOST_BYTES

    def end(self) -> None:
        """It is of no more use."""
        self._line.close()
        self._process.kill()
        self._process.wait()


_ready: dict[tuple[str, Resources], _Ready] | None = None
_given_up: set[tuple[str, Resources]] = set()
"""What could not be copied once is not tried again; such trials start from nothing."""


def stand_ready() -> None:
    """From now on, trials of this process are forked where they can be."""
    global _ready
    _ready = {} if _ready is None else _ready


def prepare(spec: TrialSpec, cores: Sequence[int]) -> None:
    """See that a process stands ready for the trial.

    With accelerators none can: which of them are lent is settled before the imports. What holds too
    much is ended here, before the trial's seconds are counted.
    """
    held = spec.resources
    if _ready is None or held.gpus or held.ranks > 1:
        return
    key = (spec.source.framework, held)
    if key in _ready and (_ready[key].gone or _ready[key].is_large):
        _ready.pop(key).end()
    if key not in _ready and key not in _given_up:
        with contextlib.suppress(OSError):
            _ready[key] = _Ready(*key, cores)


def fork(spec: TrialSpec, cores: Sequence[int], descriptors: Sequence[int]) -> Forked | None:
    """A process for the trial, with all imported; None where it must start from nothing."""
    key = (spec.source.framework, spec.resources)
    if _ready is None or key not in _ready:
        return None
    try:
        return _ready[key].fork(spec.workload, cores, descriptors)
    except (OSError, ValueError):
        ready = _ready.pop(key)
        if not ready.gone:  # one that was ended from outside may be replaced
            _given_up.add(key)
        ready.end()  # whatever it still does would take the trial's own core
        return None


def main() -> None:
    """Stand ready, until the line is cut."""
    line = socket.socket(fileno=int(sys.argv[1]))
    with line.makefile("rb", buffering=0) as file:
        framework, resources, cores = pickle.load(file)
    pin(set(cores))
    set_environment(resources)
    import_framework(framework)
    opened: set[str] = set()
    while True:
        word, descriptors, _, _ = socket.recv_fds(line, _LONGEST, 3)
        if not word:
            os._exit(0)
        workload, *cores = json.loads(word)
        pin(set(cores))
        if workload not in opened:
            opened.add(workload)
            _open_data(workload)
        line.send(str(_copied(line, descriptors) if _copyable() else 0).encode())
        for descriptor in descriptors:
            os.close(descriptor)


def import_framework(framework: str) -> None:
    """All that a trial of the framework imports, whatever it races."""
    for name in ("cluster.trial.loop", *_MODULES[framework]):
        importlib.import_module(name)


def _open_data(id: str) -> None:
    """Have the workload's data in this process' memory, where its trials find them.

    What goes wrong, each trial tells for itself.
    """
    with contextlib.suppress(Exception):
        workload = workloads.get(id)
        fetch_once(workload)
        workload.data_sha256()


def _copyable() -> bool:
    """Whether this process has but one thread: a copy has none of the others, and their locks."""
    return len(os.listdir("/proc/self/task")) == 1


def _copied(line: socket.socket, descriptors: Sequence[int]) -> int:
    """The copy's number, once it is the supervisor's own child; 0 if there is none."""
    reading, writing = os.pipe()
    between = os.fork()
    if not between:
        code, parent = 1, os.getpid()
        with contextlib.suppress(OSError):
            pid = os.fork()
            if not pid:
                os.close(reading)
                os.close(writing)
                line.close()
                _race_as_orphan_of(parent, descriptors)
            os.write(writing, str(pid).encode())
            code = 0
        os._exit(code)
    os.close(writing)
    # An orphan falls to the supervisor, which has asked for all of them, before its parent is gone.
    failed = os.waitpid(between, 0)[1]
    with os.fdopen(reading, "rb") as file:
        number = file.read()
    return 0 if failed else int(number)


def _race_as_orphan_of(parent: int, descriptors: Sequence[int]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        while os.getppid() == parent:  # `race_given` sees that the supervisor's child it is
            time.sleep(_LOOK_S)
        given, pipe, log = descriptors
        for descriptor, standard in ((given, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, standard)
        os.close(given)
        os.close(log)
        race_given(pipe)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
