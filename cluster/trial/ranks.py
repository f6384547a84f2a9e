"""A trial on several ranks: one process for each, of which the trial's own is rank 0.

Every rank holds the whole learner and takes the same steps on the same batches; each takes the loss
and its gradient of its own share of a batch, and those are averaged. Only rank 0 draws batches,
keeps the clock, evaluates and writes. The clock takes the slowest rank: a loss, and each barrier,
is whole when all have done their part.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import workloads
from cluster.cores import pin
from cluster.faults import NodeError, how_ended
from cluster.learners.compiled import compiled
from cluster.learners.contract import Draw, Learner, Rank, Taken
from cluster.learners.entry import Seeds
from cluster.process import die_with_parent, load_globals, python, seed_globals, set_environment
from cluster.spec import TrialSpec
from scoring.ground.words import Resources, StateDict
from submissions.contract import SubmissionError, TrainingComplete
from workloads.contract import Array, Batch, Judged, Weights

_SHOWN = "CUDA_VISIBLE_DEVICES"
_ENDING_S, _LOOK_S = 5.0, 0.02
"""For a rank to end that has cut its line, or made a sum over ranks fail."""


class Team:
    """The processes of the other ranks, and the line to each."""

    def __init__(self, spec: TrialSpec) -> None:
        """Starts the others; this process keeps the first of the cores that it was lent.

        Raises:
            NodeError: one ended before it ran any of the submission's code.
        """
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < spec.resources.all_cores:  # nothing was lent
            cores = []
        self._folder = tempfile.TemporaryDirectory(prefix="ranks-")
        store = str(Path(self._folder.name) / "store")
        count, each = spec.resources.ranks, spec.resources.cores
        address = f"localhost:{_free_port()}"
        self.rank = Rank(0, count, store, address)
        self._lines: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._started = False
        for number in range(1, count):
            ours, theirs = socket.socketpair()
            with theirs:
                self._processes.append(
                    subprocess.Popen(
                        python(__name__, theirs.fileno()),
                        pass_fds=(theirs.fileno(),),
                        stdin=subprocess.DEVNULL,
                        env=os.environ | accelerators(spec.resources, number),
                    )
                )
            self._lines.append(Connection(ours.detach()))
        _teams.append(self)
        with self._there():
            for number, line in enumerate(self._lines, start=1):
                own = list(cores[number * each : (number + 1) * each])
                line.send((spec, Rank(number, count, store, address), own, os.getpid()))
        if cores:
            pin(set(cores[:each]))
        os.environ.update(accelerators(spec.resources, 0))
        self.wait()  # where ranks meet nobody tells that one is gone, for minutes
        self._started = True

    def tell(self, *words: object) -> None:
        """Send the same to every other rank; raises as `wait` does."""
        with self._there():
            for line in self._lines:
                line.send(words)

    def wait(self) -> None:
        """Until every other rank has come this far.

        Raises:
            NodeError: one was ended from outside.
            SubmissionError: one ended itself.
        """
        with self._there():
            for line in self._lines:
                line.recv()

    def check(self, error: BaseException) -> dict[int, int]:
        """Where another rank was ended from outside, an error here is only what follows.

        Returns the exit codes of those that ended themselves, by their numbers.

        Raises:
            NodeError: one was.
        """
        codes = self._codes()
        if not self._started or min(codes.values(), default=0) < 0:
            raise NodeError(f"a rank of the trial was killed ({_listed(codes)})") from error
        return codes

    def end(self) -> None:
        """End the other ranks."""
        for line in self._lines:
            line.close()
        for process in self._processes:
            process.kill()
            process.wait()
        self._folder.cleanup()

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        """Within, the others are spoken with; who is gone has cut its line."""
        try:
            yield
        except (OSError, EOFError) as error:
            codes = _listed(self.check(error))
            raise SubmissionError(f"a rank of the trial exited ({codes}); see its log") from error

    def _codes(self) -> dict[int, int]:
        """How ranks ended, by their numbers; waits for a first one that is about to."""
        until = time.monotonic() + _ENDING_S
        while True:
            polled = [process.poll() for process in self._processes]
            codes = {at: code for at, code in enumerate(polled, start=1) if code is not None}
            if codes or time.monotonic() > until:
                return codes
            time.sleep(_LOOK_S)


def _listed(codes: Mapping[int, int]) -> str:
    return ", ".join(f"rank {number}: {how_ended(code)}" for number, code in codes.items())


def accelerators(resources: Resources, number: int) -> dict[str, str]:
    """The variable that shows a rank its own of the trial's accelerators, and no other."""
    if not resources.gpus:
        return {}
    shown = os.environ.get(_SHOWN) or ",".join(map(str, range(resources.all_gpus)))
    own = shown.split(",")[number * resources.gpus : (number + 1) * resources.gpus]
    return {_SHOWN: ",".join(own)}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        port: int = one.getsockname()[1]
    return port


_teams: list[Team] = []


def share_globals(state: StateDict) -> None:
    """Have the global generators of every other rank stand there: see `cluster.process`."""
    for team in _teams:
        team.tell("load_globals", state)


def dismiss(*, goes_on: bool = False) -> None:
    """End the ranks of the trials of this process, which goes on or ends at once."""
    while _teams:
        team = _teams.pop()
        if goes_on and "cluster.learners.team_jax" in sys.modules:
            _take_leave(team)
        team.end()
    if "cluster.learners.team_torch" in sys.modules:
        from cluster.learners.team_torch import leave

        leave()


def _take_leave(team: Team) -> None:
    """JAX's ranks leave together; where one is gone already, the others are ended as they are."""
    from cluster.learners.team_jax import leave

    with contextlib.suppress(NodeError, SubmissionError):
        team.tell("leave")
        leave()


class TeamLearner:
    """See `cluster.learners.contract.Learner`: rank 0's, which has the others do as it does."""

    def __init__(self, team: Team, own: Learner) -> None:
        self._team = team
        self._own = own

    @property
    def draws(self) -> int:
        """As of its own."""
        return self._own.draws

    def begin(self) -> None:
        """On every rank."""
        self._all("begin")

    def step(self, draw: Draw) -> None:
        """On every rank, with the batches that are drawn here."""

        def shared() -> Batch:
            batch = draw()
            self._team.tell("batch", batch)
            return batch

        self._team.tell("step")
        self._here("step", shared)

    def synchronize(self) -> None:
        """Return once every rank has done all."""
        self._team.tell("synchronize")
        self._here("synchronize")
        self._team.wait()

    def prepare_evaluation(self) -> None:
        """On every rank."""
        self._all("prepare_evaluation")

    def judged(self) -> Judged:
        """Here alone."""
        return self._own.judged()

    def finite(self) -> bool:
        """Here alone."""
        return self._own.finite()

    def act(self, observations: Array) -> Array:
        """Here alone: batches are drawn here."""
        return self._own.act(observations)

    def keep(self) -> None:
        """Here alone."""
        self._own.keep()

    def act_as_kept(self, observations: Array) -> Array:
        """Here alone."""
        return self._own.act_as_kept(observations)

    def resume_training(self) -> None:
        """On every rank."""
        self._all("resume_training")

    def drain(self) -> Taken:
        """On every rank: what the others noted is forgotten."""
        self._team.tell("drain")
        return self._own.drain()

    def weights(self) -> Weights:
        """Those here."""
        return self._own.weights()

    def state(self) -> StateDict:
        """That of rank 0, which is that of every rank."""
        return self._own.state()

    def load_state(self, state: StateDict) -> None:
        """On every rank."""
        self._all("load_state", state)

    def _all(self, name: str, *arguments: object) -> None:
        self._team.tell(name, *arguments)
        self._here(name, *arguments)

    def _here(self, name: str, *arguments: object) -> None:
        try:
            getattr(self._own, name)(*arguments)
        except (NodeError, TrainingComplete):
            raise
        except Exception as error:
            self._team.check(error)
            raise


def main() -> None:
    """Be one of the other ranks, until the line to rank 0 is cut."""
    die_with_parent()
    line = Connection(int(sys.argv[1]))
    spec, rank, cores, parent = line.recv()
    if os.getppid() != parent:
        return
    if cores:
        pin(set(cores))
    set_environment(spec.resources)
    with contextlib.suppress(EOFError, ConnectionError):
        _follow(spec, rank, line)


def _follow(spec: TrialSpec, rank: Rank, line: Connection) -> None:
    importlib.import_module(f"cluster.learners.learner_{spec.source.framework}")
    line.send("here")
    seeds = Seeds.of(spec.seed)
    learner = compiled(spec, workloads.get(spec.workload), spec, seeds, rank)

    def draw() -> Batch:
        word, batch = line.recv()
        assert word == "batch", word
        return batch

    while True:
        name, *arguments = line.recv()
        if name == "leave":
            from cluster.learners.team_jax import leave

            leave()
            return
        if name == "load_globals":
            load_globals(*arguments)
            continue
        if name == "begin":
            seed_globals(seeds.own)
        with contextlib.suppress(TrainingComplete):
            getattr(learner, name)(*([draw] if name == "step" else arguments))
        if name == "synchronize":
            line.send("done")
