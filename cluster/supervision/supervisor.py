"""One trial in its own process, watched from outside: its silence, memory and end.

The submission's code runs in the child alone. Whatever it leaves (children, threads, a hang, a
crash) ends with the trial, and whatever it prints goes to a log beside its record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import queue
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cluster.attempts import (
    amend,
    cannot_matter,
    finished,
    next_record,
    write_failure,
    write_not_begun,
)
from cluster.cores import WAIT_S, lock_cores
from cluster.faults import NodeError, how_ended, printable
from cluster.process import python, threads
from cluster.scratch import scratch
from cluster.spec import TrialSpec, Update
from cluster.supervision import forked, tree
from cluster.supervision.child import from_text
from cluster.supervision.forked import Forked
from cluster.supervision.witness import Witness
from cluster.trial.deadline import silence_s
from scoring.ground.files import from_home, write_whole
from scoring.records import Outcome, RecordError, read_record, record_attempts

_LOOK_S = 0.5
_LAST_S = 10.0
"""For a process to end once it has said its last, or its line is cut."""
_LOG_BYTES = 20_000_000
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals that machines and their keepers send; others are a process's own doing."""


def supervise(spec: TrialSpec) -> Iterator[Update | Outcome | NodeError]:
    """Race a trial: its news, then its outcome, or what the node did to it."""
    if cannot_matter(spec):
        yield write_not_begun(spec)
        return
    count = spec.resources.all_cores
    with contextlib.ExitStack() as locks:
        announced = False
        while (cores := lock_cores(count, locks)) is None:
            if not announced:
                yield Update(spec.key, "waiting for a core")
            announced = True
            time.sleep(WAIT_S)
        tree.adopt_orphans()
        forked.prepare(spec, cores)
        with scratch() as folder, _Child(spec, cores, folder) as child:
            yield from child.news()
            ended = child.ended()
        yield ended


class _Child:
    """The process of a trial."""

    def __init__(self, spec: TrialSpec, cores: list[int], folder: str) -> None:
        self.spec = spec
        self.cores = cores
        self._folder = folder
        self.witness = Witness()
        self._reason = ""
        self._reached_submission = False
        self._last: Outcome | NodeError | None = None
        self._before_s = 0.0
        self._others = frozenset(tree.descendants(os.getpid()))  # this process's own helpers
        self._limit = tree.memory_share(spec.resources.all_cores)
        self._heard = self._looked = time.monotonic()
        self._silence_s = silence_s(spec, training=False, wall_s=0.0)
        self._record = next_record(spec)
        self.log = self._record.with_suffix(".log")
        self._listener: threading.Thread
        self._lines: queue.Queue[Update | Outcome | NodeError | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | Forked

    def __enter__(self) -> _Child:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            reading, writing = os.pipe()
            given, giving = os.pipe()
            self._listener = threading.Thread(target=self._listen, args=(reading,), daemon=True)
            self._listener.start()
            with contextlib.suppress(BrokenPipeError), os.fdopen(giving, "wb") as file:
                try:
                    started = forked.fork(self.spec, self.cores, (given, writing, log.fileno()))
                    self._process = started or self._start(given, writing, log)
                finally:
                    os.close(given)
                    os.close(writing)
                file.write(pickle.dumps((self.spec, self.cores, os.getpid(), self._folder)))
        self._before_s = _reaped_s()  # one that stood ready and could not be copied is in it
        return self

    def _start(self, given: int, writing: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            python("cluster.supervision.child", writing),
            stdin=given,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            start_new_session=True,
            env=os.environ | threads(self.spec.resources),
        )

    def __exit__(self, *error: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        tree.end_all(os.getpid(), self._others)
        self._listener.join(_LOOK_S)  # with the last writer gone it has come to the end
        with contextlib.suppress(OSError):
            text = self.log.read_bytes().decode(errors="replace")
            if not text:
                self.log.unlink()
            elif (told := from_home(text)) != text:
                write_whole(self.log, told)

    def news(self) -> Iterator[Update]:
        """What it tells while it trains, until its process ends or is ended."""
        while self._last is None:
            try:
                news = self._lines.get(timeout=_LOOK_S)
            except queue.Empty:
                if self._process.poll() is not None and self._lines.empty():
                    break  # a child that it left holds the pipe open
            else:
                if news is None:
                    break
                yield from self._take(news)
            if time.monotonic() - self._heard > self._silence_s:
                self._reason = f"sent no update for {self._silence_s:.0f} s and was stopped"
            if time.monotonic() - self._looked > _LOOK_S:
                self._look_at_memory()
            if self._reason:
                self._process.kill()
                break

    def ended(self) -> Outcome | NodeError:
        """Its outcome, with what was seen from outside; or what the node did to it."""
        try:
            code = self._process.wait(_LAST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
            self._reason = self._reason or "closed the pipe it reports through and was stopped"
        leftovers = tree.end_all(os.getpid(), self._others)
        if isinstance(self._last, NodeError):
            return self._last
        if self._last is None:
            self.witness.end()
        # Its last words may have been lost, and not its record.
        outcome = self._last or (finished(self.spec) if self._record.exists() else None)
        if outcome is None:
            fault = self._fault(code)
            if isinstance(fault, NodeError):
                return fault
            outcome = write_failure(self.spec, fault)
        return self._with_witness(outcome, leftovers)

    def _with_witness(self, outcome: Outcome, leftovers: int) -> Outcome:
        cpu_s = _reaped_s() - self._before_s
        extra = {"leftover_processes": leftovers} if leftovers else {}
        try:
            attempts = record_attempts(self.spec.run, self.spec.key)
            extra |= {"attempts": len(attempts)} if len(attempts) > 1 else {}
            record = read_record(attempts[-1])
            testimony = self.witness.says(outcome, record, cpu_s, self.spec.resources.all_cores)
            return amend(
                record, dataclasses.replace(outcome, extra={**outcome.extra, **extra, **testimony})
            )
        except RecordError as error:
            return write_failure(self.spec, f"its record is impossible: {error}", **extra)
        except LookupError:
            return write_failure(self.spec, "its record is missing", **extra)
        except OSError:
            return outcome

    def _fault(self, code: int) -> str | NodeError:
        if self._reason:
            # Before it ran, none of it is the submission's: data take their time, and memory.
            return self._reason if self._reached_submission else NodeError(f"it {self._reason}")
        words = self._last_words()
        if not self._reached_submission:  # it died of the machine: of an import, a full memory
            return NodeError(f"its process exited before the submission's code ran ({code}){words}")
        if code >= 0:
            return f"its process exited by itself: {how_ended(code)}{words}"
        if -code in _FROM_OUTSIDE:
            return NodeError(f"its process was killed by {how_ended(code)}")
        return f"its process was killed by {how_ended(code)}{words}"

    def _listen(self, reading: int) -> None:
        """Stamp what comes when it comes, in a thread: passing news on can take its time."""
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                self._hear(line)
        self._lines.put(None)

    def _hear(self, line: bytes) -> None:
        try:
            news = from_text(line.decode(), self.spec)
        except (ValueError, TypeError, LookupError):
            return  # whatever else has the pipe
        self._heard = time.monotonic()
        if isinstance(news, Update):
            self._reached_submission |= news.phase not in ("queued", "preparing")
            training = news.phase == "training"
            self._silence_s = silence_s(self.spec, training, news.wall_s)
            self.witness.hear(news, tree.cpu_s(self._process.pid))
        else:
            self.witness.end()
        self._lines.put(news)

    def _take(self, news: Update | Outcome | NodeError) -> Iterator[Update]:
        if isinstance(news, Update):
            yield news
        else:
            self._last = news

    def _look_at_memory(self) -> None:
        self._looked = time.monotonic()
        held = tree.private_bytes(self._process.pid)
        if held > self._limit:  # unless copies of its process share it
            held = tree.proportional_bytes(self._process.pid)
        if held > self._limit:
            self._reason = (
                f"used {held / 1e9:.1f} GB of memory, more than its share of "
                f"{self._limit / 1e9:.1f} GB, and was stopped"
            )
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > _LOG_BYTES:
                os.truncate(self.log, 0)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = _tail(self.log).split()
            return f"; last output: {printable(' '.join(lines))[-200:]}" if lines else ""
        return ""


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _reaped_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
