"""A run seen from outside: what its records grow by, as news for the display."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.spec import Finished, TrialSpec, Update
from scoring.ground.words import TrialKey
from scoring.records import Evaluation, Outcome, decode, key_of, record_files
from scoring.run_file import RunFile
from scoring.tail import Tail


class Follower:
    """Reads of each record only what is new since the last look."""

    def __init__(self, run: Path, specs: Sequence[TrialSpec]) -> None:
        self._run = run
        self._specs = {spec.key: spec for spec in specs}
        self._tails: dict[TrialKey, Tail] = {}
        self._ended: set[TrialKey] = set()

    @property
    def whole(self) -> bool:
        """Whether every trial that was planned has ended."""
        return len(self._ended) == len(self._specs)

    def look(self) -> Iterator[Update | Finished]:
        """The news since the last look; records that nobody planned are passed over."""
        for path in record_files(self._run):
            key = key_of(path)
            if key in self._specs and key not in self._ended:
                yield from self._read(self._specs[key], path)

    def _read(self, spec: TrialSpec, path: Path) -> Iterator[Update | Finished]:
        tail = self._tails.get(spec.key)
        if tail is None or tail.path != path:
            tail = self._tails[spec.key] = Tail(path)
            yield Update(spec.key, "preparing")
        try:
            texts = tail.lines()
        except OSError:
            return
        for text in texts:
            try:
                line = decode(text.decode())
            except ValueError:
                continue  # `gradathlon validate` tells of those
            if isinstance(line, Evaluation):
                metric = line.metrics.get(spec.target.metric) if spec.target else None
                yield Update(spec.key, "training", line.steps, line.wall_s, metric)
            elif isinstance(line, Outcome):
                self._ended.add(spec.key)
                yield Finished(spec, line)
                return


def seconds_since_start(file: RunFile) -> float:
    """How long ago the run began, by what it says itself; a date without a time zone is UTC."""
    try:
        began = datetime.datetime.fromisoformat(file.date)
    except ValueError:
        return 0.0
    began = began if began.tzinfo else began.replace(tzinfo=datetime.UTC)
    return max(0.0, (datetime.datetime.now(datetime.UTC) - began).total_seconds())
