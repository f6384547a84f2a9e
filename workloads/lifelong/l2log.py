"""A lifelong trial written as the log folder that l2logger and l2metrics read (format 1.1)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

from scoring.ground.new_folder import new_folder
from scoring.records import Header
from workloads.lifelong.measures import Learning, Scenario

_COLUMNS = (
    *("block_num", "exp_num", "worker_id", "block_type", "block_subtype", "task_name"),
    *("task_params", "exp_status", "timestamp", "accuracy"),
)
_WORKER = "worker-default"


def export(scene: Scenario, header: Header, folder: Path) -> None:
    """Write a scenario as `folder`, an experience a look at new images or an evaluated task.

    Raises:
        ConfigError: the folder exists already, or cannot be written; then it is not left.
    """
    with new_folder(folder) as written:
        written.mkdir()
        _write(scene, header, written)


def _write(scene: Scenario, header: Header, folder: Path) -> None:
    _write_json(
        folder / "logger_info.json",
        {"metrics_columns": ["accuracy"], "log_format_version": "1.1"},
    )
    kind = "custom" if any(not isinstance(block, Learning) for block in scene) else "ste"
    about = {
        "author": "gradathlon",
        "scenario_type": kind,
        "workload": header.workload,
        "submission": header.submission,
        "seed": header.seed,
    }
    _write_json(folder / "scenario_info.json", about)
    experience = 0
    for number, block in enumerate(scene):
        rows = list(_experiences(scene, number))
        kind = "train" if isinstance(block, Learning) else "test"
        lines = ["\t".join(_COLUMNS)]
        for task, accuracy in rows:
            lines.append(_line(number, experience, kind, task, accuracy))
            experience += 1
        path = folder / _WORKER / f"{number}-{kind}" / "data-log.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _experiences(scene: Scenario, number: int) -> Iterator[tuple[str, float]]:
    block = scene[number]
    if isinstance(block, Learning):
        yield from ((block.task, accuracy) for accuracy in block.accuracy)
    else:
        yield from block.accuracy.items()


def _line(block: int, experience: int, kind: str, task: str, accuracy: float) -> str:
    # A record tells no time of day; l2logger asks for one, and reads it for nothing but order.
    moment = datetime.datetime.fromtimestamp(experience, datetime.UTC)
    when = moment.strftime("%Y%m%dT%H%M%S.%f")
    return "\t".join(
        (
            *(str(block), str(experience), _WORKER, kind, "wake", task),
            *("{}", "complete", when, repr(accuracy)),
        )
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
