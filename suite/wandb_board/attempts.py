"""Which records a run has by now, found while others write them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from scoring.ground.words import TrialKey
from scoring.records import RecordError, attempt_of, key_of
from scoring.run_file import NAME

_TICK_NS = 5_000_000_000


class Attempts:
    """The newest attempt at each trial of a run, found again and again at little cost."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._changed: dict[Path, int] = {}
        self._known: dict[TrialKey, Path] = {}

    def fresh(self, *, thorough: bool = False) -> list[Path]:
        """Records that are newer than those told before; `thorough` looks into every folder."""
        fresh: dict[TrialKey, Path] = {}
        for folder in (self._run / "trials").glob("*/*/"):
            if not self._look(folder) and not thorough:
                continue
            for path in folder.glob("*.jsonl"):
                try:
                    key = key_of(path)
                except RecordError:
                    continue
                paths = self._known.get(key)
                if paths is None or attempt_of(path) > attempt_of(paths):
                    self._known[key] = fresh[key] = path
        return list(fresh.values())

    def _look(self, folder: Path) -> bool:
        changed = folder.stat().st_mtime_ns
        # Two files made within one tick of a file system's clock leave the same time.
        fresh = changed != self._changed.get(folder) or time.time_ns() - changed < _TICK_NS
        self._changed[folder] = changed
        return fresh


def run_id(run: Path, path: Path) -> str:
    """The W&B run of an attempt: the same whenever it is asked for, and no other run's."""
    plan = run / NAME
    identity = plan.read_bytes() if plan.exists() else str(run.absolute()).encode()
    place = path.relative_to(run).as_posix()
    return hashlib.sha256(identity + place.encode()).hexdigest()[:16]
