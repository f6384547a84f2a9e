"""A score for another scale: the steps of a race, and the cost of a step elsewhere.

A toy's seconds mislead about methods that do much with the weights: their step is dear where a
model is small and cheap where it is large. So the steps are taken from the race and the cost of a
step, in steps of the reference, from the scale that one asks about (`gradathlon step-cost`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from scoring.board import Board
from scoring.gradathlon import mean_score
from scoring.ground.documents import ConfigError
from scoring.ground.files import read_text

Costs = Mapping[str, Mapping[str, float]]
"""By submission and workload: a step's cost in steps of the reference."""


@dataclasses.dataclass(frozen=True)
class Projected:
    """A submission's score with the costs of other workloads.

    Attributes:
        submission: its name.
        score: over the workloads that have a cost; NaN where none has.
        ratios: by raced workload, times with the costs taken from `costs`.
        costs: by raced workload, that whose cost was taken, and the cost.
    """

    submission: str
    score: float
    ratios: Mapping[str, float]
    costs: Mapping[str, tuple[str, float]]


def read_costs(path: Path) -> dict[str, dict[str, float]]:
    """What `gradathlon step-cost -o` wrote.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        body = json.loads(read_text(path))
        costs = {
            str(name): {str(id): float(cost) for id, cost in own.items()}
            for name, own in body.items()
        }
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ConfigError(
            f"{path}: holds no step costs; measure them with: gradathlon step-cost NAME "
            f"-w WORKLOAD -o {path}"
        ) from None
    for own in costs.values():
        for id, cost in own.items():
            if not 0 < cost < math.inf:
                raise ConfigError(f"{path}: {id}: expected a cost above 0, found {cost}")
    return costs


def projected(on_steps: Board, costs: Costs) -> Iterator[Projected]:
    """Every competing submission that has a cost for a raced family, best score first.

    Of a family's costs the last counts: scales are named in rising order. `on_steps` is a board of
    the gradathlon protocol on the steps clock.
    """
    priced = []
    for row in on_steps.rows:
        step_costs = costs.get(row.submission, {})
        sources: dict[str, tuple[str, float]] = {}
        for workload in on_steps.workloads:
            of_family = [id for id in step_costs if id.split("-")[0] == workload.split("-")[0]]
            if of_family:
                sources[workload] = of_family[-1], step_costs[of_family[-1]]
        if sources and not row.is_reference:
            ratios = {name: row.cells[name].ratio * cost for name, (_, cost) in sources.items()}
            priced.append(Projected(row.submission, mean_score(ratios), ratios, sources))
    yield from sorted(priced, key=lambda one: (-one.score, one.submission))


def told(on_steps: Board, costs: Costs) -> Iterator[str]:
    """Lines to print beneath a board."""
    rows = list(projected(on_steps, costs))
    yield "projected scores: steps from the race, step costs measured elsewhere"
    if not rows:
        entries = ", ".join(row.submission for row in on_steps.rows if not row.is_reference)
        known = ", ".join(costs) or "no submission"
        yield f"  costs are known for {known}, but for none of {entries} on a family of this board"
    for row in rows:
        parts = ", ".join(
            f"{name} ×{row.ratios[name]:.2f} (a step of {id}: {cost:.2f})"
            for name, (id, cost) in row.costs.items()
        )
        missing = len(on_steps.workloads) - len(row.costs)
        left = f"; workloads without a cost: {missing}" if missing else ""
        yield f"  {row.submission}: {row.score:.3f} ({parts}{left})"
