"""The process that hands a run's records on to W&B: `python -P -m suite.wandb_board.logger RUN`.

It reads what trials write and nothing else; the end of its stdin tells it that the run has ended.
Whatever it says for a person is a line on stdout.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scoring.ground.ends import UNFINISHED
from scoring.records import key_of
from scoring.run_file import read as read_plan
from suite.wandb_board.attempts import Attempts, run_id
from suite.wandb_board.session import Session
from suite.wandb_board.trial import SUPERSEDED, TrialLog
from suite.wandb_board.words import FOLDER, Place

PERIOD_S = 1.0
"""Seconds between two looks at the records."""
AT_ONCE = 8
"""Runs that are handed on at the same time; with a quick server one would do."""
LAST_S = 25.0
"""Seconds without any trial handed on after which the end of a run is not waited for longer."""
DONE = "gradathlon-logged.txt"
"""In the run's W&B folder: the ids of the trials that were handed on to their end."""


class Logger:
    """Follows all trials of one run."""

    def __init__(self, run: Path, place: Place) -> None:
        self._run = run
        self._said: set[str] = set()
        self._session = Session(run, place, self._say)
        self._attempts = Attempts(run)
        self._plan = read_plan(run)
        self._logs: dict[str, TrialLog] = {}
        self._writing = threading.Lock()
        done = run / FOLDER / DONE
        done.parent.mkdir(exist_ok=True)
        self._before = set(done.read_text().split()) if done.exists() else set()
        self._done = done.open("a", encoding="utf-8")
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def until(self, ended: threading.Event) -> None:
        """Hand on what is new, again and again, until the run has ended."""
        while not ended.wait(PERIOD_S):
            self._look()
        # What other nodes wrote may be seen late; all of it is there when the driver says so.
        self._find(thorough=True)
        unsent, since = self._hand_on(end=UNFINISHED), time.monotonic()
        while unsent and time.monotonic() < since + LAST_S:
            time.sleep(0.05)
            before, unsent = unsent, self._hand_on(end=UNFINISHED)
            since = time.monotonic() if unsent < before else since
        if self._logs:
            self._session.keep(len(self._logs))
        self._session.close()
        self._session.leave()

    def _look(self) -> None:
        self._find()
        self._hand_on()

    def _find(self, *, thorough: bool = False) -> None:
        for path in self._attempts.fresh(thorough=thorough):
            id, key = run_id(self._run, path), key_of(path)
            if id in self._before:
                continue
            for log in self._logs.values():
                log.superseded |= key_of(log.tail.path) == key
            self._logs[id] = TrialLog(self._session, self._run, self._plan, path, id)

    def _hand_on(self, end: str | None = None) -> int:
        """Start a thread for every trial with news; how many trials are not at their end."""
        self._logs = {id: log for id, log in self._logs.items() if log.busy or not log.done}
        for log in self._logs.values():
            last = SUPERSEDED if log.superseded else end
            if not log.busy and (last or log.tail.has_news):
                log.busy = True
                self._pool.submit(self._step, log, last)
        return len(self._logs)

    def _step(self, log: TrialLog, end: str | None) -> None:
        try:
            log.follow()
            if end is not None:
                log.leave(end)
        except Exception as error:  # one trial's trouble with W&B is no other's
            self._say(f"W&B: {log.tail.path}: not logged: {error}")
            log.done = True
        finally:
            if log.whole:
                self._remember(log.id)
            log.busy = False

    def _remember(self, id: str) -> None:
        with self._writing:
            self._done.write(f"{id}\n")
            self._done.flush()

    def _say(self, line: str) -> None:
        with self._writing:
            if line not in self._said:
                self._said.add(line)
                print(line, flush=True)


def main() -> None:
    """Follow the run in the folder that is named, in the place that is named."""
    os.nice(19)  # trials come first, wherever the machine is short of cores
    _, run, project, entity = sys.argv
    ended = threading.Event()
    logger = Logger(Path(run), Place(project, entity or None))
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    logger.until(ended)
    # Threads that still wait for a server would hold Python's own end up.
    os._exit(0)


def _wait_for_end(ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while sys.stdin.buffer.read(1):
            pass
    ended.set()


if __name__ == "__main__":
    main()
