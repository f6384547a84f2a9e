"""Whether the language model orders methods as larger studies do.

`gradathlon run orders -o RUN`, then `python -m workloads.lm.published RUN`, prints the table of
the family's page: each method's best trial, and Kendall's tau between this order and a published
one, with an interval over which methods are compared.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from scoring.records import Record, read_run
from scoring.times import best_metric, time_to_result

STEPS = (256, 512, 1024, 2048, 4096)
LOSSES = {
    "ademamix": (5.677, 5.065, 4.498, 4.206, 4.020),
    "soap": (5.292, 4.701, 4.373, 4.174, 4.039),
    "muon": (5.168, 4.705, 4.409, 4.191, 4.044),
    "adamw": (5.626, 5.043, 4.545, 4.271, 4.083),
    "prodigy": (5.788, 5.106, 4.549, 4.271, 4.091),
    "mars": (5.858, 5.305, 4.751, 4.355, 4.122),
    "lion": (6.305, 5.674, 5.056, 4.471, 4.167),
    "adopt": (5.867, 5.325, 4.819, 4.414, 4.171),
    "lamb": (6.028, 5.411, 4.842, 4.456, 4.211),
    "signum": (6.178, 5.435, 4.796, 4.458, 4.240),
    "schedule_free_adamw": (6.023, 5.568, 5.125, 4.691, 4.305),
    "adafactor": (5.914, 5.436, 5.031, 4.612, 4.321),
    "scion": (6.255, 6.164, 6.059, 6.075, 6.072),
    "sgd": (7.568, 7.446, 7.362, 7.295, 6.973),
    "schedule_free_sgd": (7.614, 7.474, 7.332, 7.188, 6.992),
}
"""Validation loss after `STEPS` steps of 65,536 tokens, a llama of 8 layers x 384 on FineWeb, rate
constant after 16 steps, the best of 3 to 6 rates: a community sweep with the code of Semenov,
Pagliardini and Jaggi (2025, arXiv 2509.01440). The last is the published order."""
DRAWS = 2000
LEVEL = 0.95


Place = tuple[float, float]
"""Steps to the target, infinite where it was missed, and the best value: smaller is better."""


def places(records: Sequence[Record]) -> dict[str, Place]:
    """Where the best trial of each published method stands; a twin counts for its method."""
    by_name: dict[str, Place] = {}
    for record in records:
        name = record.header.submission.removesuffix("_jax")
        target = record.header.target
        if name not in LOSSES or target is None:
            continue
        steps = time_to_result(record.header, record.evaluations).on("steps")
        value = best_metric(record.evaluations, target)
        place = steps, math.inf if math.isnan(value) else value
        by_name[name] = min(by_name.get(name, place), place)
    return by_name


def ranks(places: Mapping[str, Place]) -> dict[str, int]:
    """Methods that reached the target by their steps, then the others by their best value."""
    keys = {
        name: (steps, 0.0) if math.isfinite(steps) else (math.inf, value)
        for name, (steps, value) in places.items()
    }
    order = sorted(set(keys.values()))
    return {name: order.index(key) for name, key in keys.items()}


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Tau-b: the share of pairs in the same order less that of the others; nan where all tie."""
    return float(kendalltau(one, other).statistic)


def interval(one: Sequence[float], other: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Of tau, by drawing methods with replacement; a method drawn twice ties in both orders."""
    rng = np.random.default_rng(seed)
    pairs = np.array([one, other])
    drawn = rng.integers(0, len(one), (DRAWS, len(one)))
    taus = [kendall(*pairs[:, chosen]) for chosen in drawn]
    low, high = np.nanquantile(taus, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def told(places: Mapping[str, Place]) -> list[str]:
    """The table's rows and tau's line."""
    place = ranks(places)
    names = sorted(places, key=place.__getitem__)
    published = sorted(names, key=lambda name: LOSSES[name][-1])
    lines = ["| method | steps to the target | best bits per byte | published place |"]
    lines.append("|---|---|---|---|")
    for name in names:
        steps, value = places[name]
        reached = f"{steps:.0f}" if math.isfinite(steps) else "missed"
        lines.append(f"| {name} | {reached} | {value:.3f} | {published.index(name) + 1} |")
    ours = [place[name] for name in names]
    for column, steps in enumerate(STEPS):
        theirs = [LOSSES[name][column] for name in names]
        low, high = interval(ours, theirs)
        lines.append(
            f"Kendall's tau over {len(names)} methods, against their losses after {steps} steps: "
            f"{kendall(ours, theirs):.2f} [{low:.2f}, {high:.2f}]"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(told(places([r for folder in sys.argv[1:] for r in read_run(Path(folder))]))))
