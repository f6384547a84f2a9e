"""A run's side of its logging process: started, left alone, and given some seconds at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from suite.wandb_board.words import FOLDER, Place, sync_line

SOON_S = 3.0
"""Seconds after which the end of a run says what it waits for."""
WAIT_S = 120.0
"""Seconds that it waits; the logging process itself gives up when a server takes nothing."""
KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
"""Variables that trials have no need of, and whose values must not reach their records."""
LOG = "gradathlon-logger.txt"
"""In the run's W&B folder: whatever W&B and Python print there."""


@contextlib.contextmanager
def tracking(run: Path, place: Place, say: Callable[[str], None]) -> Iterator[None]:
    """Hand the trials in the folder `run` on to W&B for as long as the block lasts.

    Nothing that W&B does, or does not do, can reach the block. Within it, the variables that hold
    W&B's key are gone from the environment, so that no trial inherits them.
    """
    with contextlib.ExitStack() as stack:
        process = _start(run, place, say)
        stack.enter_context(_without(KEYS))
        if process is None:
            yield
            return
        talk = threading.Thread(target=_pass_on, args=(process.stdout, say), daemon=True)
        talk.start()
        try:
            yield
        finally:
            _end(process, run, say)
            talk.join(timeout=1.0)


def _start(run: Path, place: Place, say: Callable[[str], None]) -> subprocess.Popen[str] | None:
    words = ["-P", "-m", "suite.wandb_board.logger"]
    try:
        (run / FOLDER).mkdir(exist_ok=True)
        with (run / FOLDER / LOG).open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, *words, str(run), place.project, place.entity or ""],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C ends the run; this ends after it
            )
    except OSError as error:
        say(f"W&B: logging is off: {error.strerror or error}")
        return None


def _pass_on(talk: IO[str] | None, say: Callable[[str], None]) -> None:
    assert talk is not None
    with talk:
        for line in talk:
            say(line.rstrip("\n"))


def _end(process: subprocess.Popen[str], run: Path, say: Callable[[str], None]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        code = _wait(process, say)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        say(f"W&B: upload did not finish in time; sync the rest with: {sync_line(run)}")
        return
    if code != 0:
        log = run / FOLDER / LOG
        say(f"W&B: the logging process failed (exit code {code}), no trial did: {log}")


def _wait(process: subprocess.Popen[str], say: Callable[[str], None]) -> int:
    try:
        return process.wait(SOON_S)
    except subprocess.TimeoutExpired:
        say("W&B: finishing uploads; Ctrl-C leaves the rest to sync later")
        return process.wait(WAIT_S)


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    held = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)
