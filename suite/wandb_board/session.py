"""W&B runs: how one is begun and ended, so that nothing but their content leaves the machine.

The only trial of the server is the first run's beginning: once it could not be had, or did not
take a run's end in time, all that begins later is kept on this machine, to be synced later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.wandb_board.words import FOLDER, Place, WandbError, clipped, sync_line, tag

if TYPE_CHECKING:
    import wandb

INIT_S = 15.0
"""Seconds for the server to begin a run, unless WANDB_INIT_TIMEOUT says otherwise."""
FINISH_S = 10.0
"""Seconds for it to take the rest of a run, unless WANDB_FINISH_TIMEOUT says otherwise."""
Say = Callable[[str], None]
_LONGEST = 300
"""Characters of what W&B says in several lines."""


@dataclasses.dataclass(frozen=True)
class Identity:
    """What tells a W&B run apart, and sorts it among others."""

    id: str
    name: str
    group: str
    job_type: str
    tags: Sequence[str]


class Session:
    """Begins and ends W&B runs in `folder`; several may be open at once, in several threads."""

    def __init__(self, folder: Path, place: Place, say: Say) -> None:
        self._folder = folder
        self._place = place
        self._say = say
        self._beginning = threading.Lock()
        self._offline: str | None = None
        """Why, once it is so."""
        self._kept = 0
        self._url = ""

    @property
    def offline(self) -> bool:
        """Whether runs are kept on this machine only."""
        return self._offline is not None

    @property
    def url(self) -> str:
        """The project's page, empty while there is none."""
        return self._url

    def begin(self, identity: Identity, config: Mapping[str, object]) -> wandb.Run:
        """A new W&B run, with the server or without it."""
        # W&B's own beginning of a run is not made for threads; and one wait for a server is enough.
        with self._beginning:
            if self._offline is None:
                self._offline = _reason_to_stay_offline()
            if self._offline is None:
                try:
                    return self._init(identity, config, "online")
                except Exception as error:  # W&B raises of every kind; none of them is ours
                    self._offline = f"no answer from the server ({first_line(error)})"
                    identity = self._clear(identity)
            return self._init(identity, config, "offline")

    def end(self, run: wandb.Run, exit_code: int) -> None:
        """End a run; what the server does not take in time stays on this machine."""
        try:
            run.finish(exit_code=exit_code)
        except Exception as error:
            self._kept += 1
            self._offline = self._offline or f"the server is too slow ({first_line(error)})"

    def leave(self) -> None:
        """Say, once, where the runs are."""
        if self._kept:
            # Without the server's errors, which can be pages long.
            self._say(f"W&B: {self._offline}; {self._kept} kept here; sync with:")
            self._say(f"  {sync_line(self._folder)}")

    def close(self) -> None:
        """Let W&B's own process bring what it holds to the disk, and end."""
        # In a thread, since it would wait for a lost server.
        closing = threading.Thread(target=_tear_down, daemon=True)
        closing.start()
        closing.join(FINISH_S)

    def keep(self, count: int) -> None:
        """Count runs whose end the server has not taken."""
        self._kept += count
        self._offline = self._offline or "the server is too slow"

    def forget(self, run: wandb.Run) -> None:
        """End a run that could not be written, and leave nothing of it here."""
        with contextlib.suppress(Exception):
            run.finish(exit_code=1)
        self.close()
        self._put_away(run.id)

    def _put_away(self, id: str) -> None:
        folder = self._folder / FOLDER
        for leftover in folder.glob(f"*run-*-{id}"):
            shutil.rmtree(leftover, ignore_errors=True)
        for link in filter(Path.is_symlink, folder.glob("*")):  # to the latest run
            if not link.exists():
                link.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # where nothing else is

    def _clear(self, identity: Identity) -> Identity:
        """What is left of a beginning that failed, put away; a name that W&B takes for another."""
        self._put_away(identity.id)
        return dataclasses.replace(identity, id=f"{identity.id}b")

    def _init(self, identity: Identity, config: Mapping[str, object], mode: str) -> wandb.Run:
        import wandb

        run = wandb.init(
            entity=self._place.entity,
            project=self._place.project,
            dir=self._folder.absolute(),
            id=identity.id,
            name=clipped(identity.name),
            group=clipped(identity.group),
            job_type=identity.job_type,
            tags=[tag(word) for word in dict.fromkeys(identity.tags)],
            config=dict(config),
            resume="allow" if mode == "online" else None,
            mode=mode,  # type: ignore[arg-type]
            settings=_settings(),
        )
        if mode == "offline":
            self._kept += 1
        elif not self._url:
            self._url = run.project_url or ""
            self._say(f"W&B: {self._url}")
        return run


def _tear_down() -> None:
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def _settings() -> wandb.Settings:
    import wandb

    return wandb.Settings(
        reinit="create_new",
        init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_S)),
        finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_S)),
        finish_timeout_raises=True,
        # The record holds what is known of the trial's own machine; of the driver's, nothing goes.
        console="off",
        disable_git=True,
        save_code=False,
        silent=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_save_requirements=False,
    )


def _reason_to_stay_offline() -> str | None:
    import wandb

    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return f"WANDB_MODE is {os.environ['WANDB_MODE']}"
    try:
        wandb.setup(wandb.Settings(silent=True))
    except Exception as error:  # of another of W&B's variables
        raise WandbError(f"W&B: {' '.join(str(error).split())[:_LONGEST]}") from None
    try:
        logged_in = wandb.login(prompt=False, verify=False)
    except Exception as error:
        return first_line(error)
    return None if logged_in else "no key (wandb login, or WANDB_API_KEY)"


def first_line(error: BaseException) -> str:
    """The beginning of what an error says."""
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
