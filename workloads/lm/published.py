"""Whether the language model orders methods as dearer studies do.

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

LOSSES = {
    "ademamix": 4.020,
    "soap": 4.039,
    "muon": 4.044,
    "adamw": 4.083,
    "prodigy": 4.091,
    "mars": 4.122,
    "lion": 4.167,
    "adopt": 4.171,
    "lamb": 4.211,
    "signum": 4.240,
    "schedule_free_adamw": 4.305,
    "adafactor": 4.321,
    "scion": 6.072,
    "sgd": 6.973,
    "schedule_free_sgd": 6.992,
}
"""Validation loss after 4,096 steps of 65,536 tokens, a llama of 8 layers x 384 on FineWeb, rate
constant after 16 steps, the best of 3 to 6 rates: a community sweep with the code of Semenov,
Pagliardini and Jaggi (2025, arXiv 2509.01440)."""
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
    published = sorted(names, key=LOSSES.__getitem__)
    lines = ["| method | steps to the target | best bits per byte | published place |"]
    lines.append("|---|---|---|---|")
    for name in names:
        steps, value = places[name]
        reached = f"{steps:.0f}" if math.isfinite(steps) else "missed"
        lines.append(f"| {name} | {reached} | {value:.3f} | {published.index(name) + 1} |")
    pair = [place[name] for name in names], [LOSSES[name] for name in names]
    low, high = interval(*pair)
    lines.append(
        f"Kendall's tau over {len(names)} methods: {kendall(*pair):.2f} [{low:.2f}, {high:.2f}]"
    )
    return lines


if __name__ == "__main__":
    print("\n".join(told(places([r for folder in sys.argv[1:] for r in read_run(Path(folder))]))))
