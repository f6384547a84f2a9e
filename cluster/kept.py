"""The weights at a trial's hit, stored beside its record and evaluated again by another process."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import workloads
from cluster import checkpoint
from cluster.learners import make_learner
from cluster.learners.contract import Learner
from cluster.learners.entry import Seeds, make_entry
from scoring.ground.words import Resources, StateDict
from scoring.records import Header, Record
from submissions.source import find
from workloads.contract import Stream, Weights, Window, Workload

DIGEST = "weights_sha256"
"""The outcome's key for the digest of the file."""
MOST_BYTES = 64_000_000
"""Larger ones are not kept: a run may hold hundreds."""
TOLERANCE = 1e-3
"""By how much, relatively, a metric may differ: another machine sums in another order."""
_PLAIN = {"torch": "sgd", "jax": "sgd_jax"}
"""Whose learner judges in the submission's place: it makes no step."""


def path_of(record: Path) -> Path:
    """Where the weights of that record's trial lie."""
    return record.with_suffix(".hit.safetensors")


def keep(record: Path, learner: Learner, stream: Stream, window: Window) -> dict[str, object]:
    """Keep the judged weights and what their evaluation saw; the digest, for the outcome.

    Nothing is kept where it is too much, or cannot be written.
    """
    state = {
        "weights": dict(learner.judged().weights()),
        "stream": stream.state(),
        "window": dataclasses.asdict(window),
    }
    if _bytes(state) > MOST_BYTES:
        return {}
    path = path_of(record)
    try:
        checkpoint.save(path, state)
        return {DIGEST: hashlib.sha256(path.read_bytes()).hexdigest()}
    except (checkpoint.StateError, OSError):
        path.unlink(missing_ok=True)
        return {}


def judge_again(record: Record) -> str | None:
    """What is wrong with a hit, in one line: "" where nothing is; None where nothing was kept.

    The weights are judged by this process, which never runs the submission's code.

    Raises:
        WorkloadError: its data cannot be had here.
    """
    outcome, header, path = record.outcome, record.header, path_of(record.path)
    digest = outcome.extra.get(DIGEST) if outcome else None
    if digest is None or not record.evaluations:
        return None
    workload = workloads.get(header.workload)
    if workload.settings_sha256 != header.settings_sha256:
        return f"it was raced with other settings than {header.workload} has here"
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        state = checkpoint.load(path) if actual == digest else None
    except (OSError, checkpoint.StateError) as error:
        return f"its weights cannot be read: {error}"
    if state is None:
        return f"{path.name} does not match its digest in the record"
    odd = _odd(state["weights"], workload)
    return odd or _difference(record, _metrics(header, workload, state))


def _odd(weights: Weights, workload: Workload) -> str:
    wanted = {name: spec.shape for name, spec in workload.parameters().items()}
    if {name: value.shape for name, value in weights.items()} != wanted:
        return "its weights do not match the workload's names and shapes"
    broken = [name for name, value in weights.items() if not np.isfinite(value).all()]
    return f"its weight {broken[0]} is not finite" if broken else ""


def _metrics(header: Header, workload: Workload, state: StateDict) -> Mapping[str, float]:
    workload.fetch()
    seeds = Seeds.of(header.seed)
    entry = make_entry(
        workload,
        find(_PLAIN[header.framework]),
        {},
        seeds,
        budget=header.budget,
        resources=Resources(int(header.hardware.get("cores", 1))),
    )
    # Begun at the kept weights: they are its initial ones.
    entry = dataclasses.replace(entry, weights=state["weights"])
    learner = make_learner(
        header.framework, entry, [workload.batch_like()], workload.observations_like()
    )
    learner.begin()
    learner.prepare_evaluation()
    stream = workload.stream(seeds.stream)
    try:
        stream.load_state(state["stream"])
        return workload.evaluate(learner.judged(), "validation", stream, Window(**state["window"]))
    finally:
        stream.close()


def _difference(record: Record, now: Mapping[str, float]) -> str:
    recorded = record.evaluations[-1].metrics
    changes = [
        f"{name} is {recorded.get(name, math.nan):.6g} in the record but {value:.6g} at its weights"
        for name, value in now.items()
        if not math.isclose(recorded.get(name, math.nan), value, rel_tol=TOLERANCE, abs_tol=1e-6)
        and not (math.isnan(value) and math.isnan(recorded.get(name, math.nan)))
    ]
    return "; ".join(changes)


def _bytes(tree: object) -> int:
    if isinstance(tree, Mapping):
        return sum(map(_bytes, tree.values()))
    if isinstance(tree, list | tuple):
        return sum(map(_bytes, tree))
    return tree.nbytes if isinstance(tree, np.ndarray) else 0
