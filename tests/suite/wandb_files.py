"""W&B's offline files read back: a LevelDB log of W&B's own protobufs."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
HEADER = struct.Struct("<IHB")


@dataclasses.dataclass
class Kept:
    """What one `.wandb` file holds."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    step_metric: dict[str, str] = dataclasses.field(default_factory=dict)
    artifacts: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    """By name: the path of each entry."""
    exit_code: int | None = None


def _records(path: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2 as pb

    data, place, whole = path.read_bytes(), 7, b""
    while place + HEADER.size <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            place += left
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        if kind == 0:
            return
        place += HEADER.size
        whole += data[place : place + length]
        place += length
        if kind in (1, 4):
            yield pb.Record.FromString(whole)
            whole = b""


def read(path: Path) -> Kept:
    kept = Kept()
    for record in _records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            kept.id, kept.name, kept.project = run.run_id, run.display_name, run.project
            kept.group, kept.job_type, kept.tags = run.run_group, run.job_type, tuple(run.tags)
            kept.config |= {one.key: json.loads(one.value_json) for one in run.config.update}
        elif kind == "history":
            kept.history.append(_items(record.history.item))
        elif kind == "summary":
            kept.summary |= _items(record.summary.update)
        elif kind == "metric":
            metric = record.metric
            kept.step_metric[metric.name or metric.glob_name] = metric.step_metric
        elif kind == "artifact":
            entries = record.artifact.manifest.contents
            kept.artifacts[record.artifact.name] = {one.path: one.local_path for one in entries}
        elif kind == "exit":
            kept.exit_code = record.exit.exit_code
    return kept


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def kept_in(run: Path) -> dict[str, Kept]:
    """Every W&B run kept in a folder, by its name."""
    found = [read(path) for path in sorted((run / "wandb").glob("*run-*/*.wandb"))]
    return {one.name: one for one in found}
