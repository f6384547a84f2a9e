"""Bounds sent to a running trial: once others have ended, it may stop earlier.

A bound is a small file beside the trial's record. The trial looks for it at its evaluations, while
its clock stands; whoever drives the run, or supervises the trial where that folder is not seen,
writes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

from cluster.spec import Stop, TrialSpec
from scoring.ground.files import write_whole


def path_of(spec: TrialSpec) -> Path:
    """Where a trial's bound lies."""
    return spec.record(0).with_suffix(".stop.json")


def publish(spec: TrialSpec, stop: Stop) -> None:
    """Let the trial know. It is an aid: where it cannot be written, the trial takes longer."""
    with contextlib.suppress(OSError):
        write_whole(path_of(spec), json.dumps(dataclasses.asdict(stop)))


def latest(spec: TrialSpec) -> Stop | None:
    """The tightest bound that the trial was given, at its start or since."""
    since = _read(path_of(spec))
    if since is None or (spec.stop is not None and spec.stop.after <= since.after):
        return spec.stop
    return since


def clear(spec: TrialSpec) -> None:
    """The trial has ended, or begins anew: what an earlier driver told it, it is told again."""
    with contextlib.suppress(OSError):
        path_of(spec).unlink()


def _read(path: Path) -> Stop | None:
    try:
        body = json.loads(path.read_text())
        optimism = body["optimism"]
        forecast = None if optimism is None else float(optimism)
        return Stop(float(body["after"]), str(body["why"]), forecast)
    except (OSError, ValueError, LookupError, TypeError):
        return None
