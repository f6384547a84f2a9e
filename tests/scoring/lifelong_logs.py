"""The scenarios that `tests/scoring/data/lifelong` holds l2metrics' results of.

How the results were made (l2metrics needs an environment of its own, with old packages):

    python -m tests.scoring.lifelong_logs LOGS
    pip install 'numpy<2' 'pandas<2' 'seaborn<0.13' 'pyarrow<20' l2metrics==3.1.0
    for name in trial visits; do
      export L2DATA=LOGS/$name/store; mkdir -p $L2DATA/taskinfo
      for log in LOGS/$name/expert*; do python -m l2metrics -l $log -s a -p accuracy; done
      python -m l2metrics -l LOGS/$name/all -p accuracy -t both -m both -d LOGS/range.json \
        --no-plot -O LOGS/$name
      cp LOGS/$name/*_metrics.json tests/scoring/data/lifelong/$name.json
    done

The records are of `gradathlon try lifelong-toy-v2 adamw_jax -p lr=0.003 -p decay=constant --seed 3`
with 800 steps, and of `lifelong-toy-v2+expert` with 120.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from scoring.records import read_record
from workloads.lifelong.l2log import export
from workloads.lifelong.measures import Evaluating, Learning, Scenario, alone, scenario

DATA = Path(__file__).parent / "data" / "lifelong"
Experts = list[tuple[float, ...]]


def trial() -> tuple[Scenario, Experts]:
    """A real trial, each task learnt once, and one real expert."""
    expert = alone(scenario(read_record(DATA / "alone.jsonl")))
    return scenario(read_record(DATA / "all.jsonl")), [expert]


def visits() -> tuple[Scenario, Experts]:
    """Four tasks, three of which come again and again in long blocks, and two experts."""
    random = np.random.default_rng(6)
    tasks = [f"task{index:02}" for index in range(4)]
    blocks: list[Learning | Evaluating] = [Evaluating(_accuracies(random, tasks), 200)]
    for index in (0, 1, 0, 2, 1, 0, 2, 2):
        rising = np.linspace(0.2, 0.9, random.integers(4, 45))
        noisy = (rising + random.normal(0, 0.05, len(rising))).clip(0, 1)
        # Task 2 unlearns: its efficiency is 0.
        values = noisy[::-1] if index == 2 else noisy
        blocks += [
            Learning(tasks[index], tuple(map(float, values))),
            Evaluating(_accuracies(random, tasks), 200),
        ]
    blocks.append(Evaluating(_accuracies(random, tasks), 200))
    experts = [tuple(map(float, np.sort(random.random(count)))) for count in (30, 70)]
    return tuple(blocks), experts


def _accuracies(random: np.random.Generator, tasks: list[str]) -> dict[str, float]:
    return {task: float(random.uniform(0.1, 1.0)) for task in tasks}


def main(folder: Path) -> None:
    """Write the logs of both, and of their experts as if each task had its own."""
    header = read_record(DATA / "all.jsonl").header
    tasks: set[str] = set()
    for name, (found, experts) in {"trial": trial(), "visits": visits()}.items():
        export(found, header, folder / name / "all")
        learnt = sorted({block.task for block in found if isinstance(block, Learning)})
        tasks |= {
            task for block in found if isinstance(block, Evaluating) for task in block.accuracy
        }
        for task in learnt:
            for number, values in enumerate(experts):
                place = folder / name / f"expert{number}-{task}"
                export((Learning(task, values),), header, place)
    ranges = {task: {"min": 0.0, "max": 1.0} for task in sorted(tasks)}
    (folder / "range.json").write_text(json.dumps(ranges))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
