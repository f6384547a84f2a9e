"""Diagnostics beside the metric: norms, rank and dormant units of the evaluated weights.

Computed off the clock at evaluations, in numpy, for either framework. They are never judged and
never reach the submission.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from workloads.contract import Array, Judged, ParameterSpec, Stream, Weights, Workload
from workloads.metric import DIAGNOSTICS

DORMANT = 0.025
"""A unit is dormant if its mean size is at most this share of its layer's (Sokar et al. 2023)."""
MOST = 10
"""With n times as many evaluations in a horizon, every n-th is diagnosed."""
ACTIVITY, FEATURES = "activity", "features"
"""Outputs of a model's `inspect` that are not yet scalars."""


def is_due(workload: Workload, steps: int) -> bool:
    """Whether the evaluation after `steps` steps is diagnosed."""
    settings = workload.settings
    every = max(1, settings.step_hint // settings.evaluation_period // MOST)
    return steps // settings.evaluation_period % every == 0


def diagnose(workload: Workload, judged: Judged, stream: Stream) -> dict[str, float]:
    """Everything, by its whole name; a number that cannot be had, as of weights that are NaN, is.

    `weight_norm` is of all weights together. `spectral_norm` is the largest singular value of a
    matrix, `effective_rank` the exponential of the entropy of a matrix's singular values as a
    share of its full rank (Roy and Vetterli 2007), in the mean over matrices; both are of what
    has the role `weight` or `head`. `gradient_norm`, on the workload's probe, is of the loss.
    `dormant_units` is the share of units that are all but silent on it, `feature_rank` the
    effective rank of what goes into the head.
    """
    with np.errstate(all="ignore"):
        found = _of_weights(judged.weights(), workload.parameters())
        probe = workload.probe(stream)
        if probe is not None and judged.inspect is not None:
            found |= _of_answers(judged.inspect(probe))
    return {DIAGNOSTICS + name: value for name, value in found.items()}


def effective_rank(values: Array, full: int) -> float:
    """The exponential of the entropy of singular values, as a share of the full rank."""
    total = values.sum()
    if not total > 0 or not math.isfinite(total):
        return math.nan
    shares = values[values > 0] / total
    return math.exp(-float((shares * np.log(shares)).sum())) / full


def singular_values(matrix: Array) -> Array:
    """Those of a matrix, in ascending order, from its smaller Gram matrix; NaN if it is not finite.

    Small ones are lost in rounding, which neither a sum nor an entropy feels.
    """
    matrix = np.asarray(matrix, np.float64)
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    if not np.isfinite(gram).all():
        return np.full(len(gram), np.nan)
    values: Array = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))
    return values


def _of_weights(weights: Weights, specs: Mapping[str, ParameterSpec]) -> dict[str, float]:
    norms = [np.linalg.norm(np.asarray(value, np.float64)) for value in weights.values()]
    spectra = [
        singular_values(weights[name])
        for name, spec in specs.items()
        if spec.role in ("weight", "head") and min(spec.shape) > 1
    ]
    found = {"weight_norm": float(np.linalg.norm(norms))}
    if spectra:
        found["spectral_norm"] = float(np.max([values[-1] for values in spectra]))
        ranks = [effective_rank(values, len(values)) for values in spectra]
        found["effective_rank"] = float(np.mean(ranks))
    return found


def _of_answers(answers: Mapping[str, Array]) -> dict[str, float]:
    found = {
        name: float(value)
        for name, value in answers.items()
        if not name.startswith((ACTIVITY, FEATURES))
    }
    active = [value for name, value in answers.items() if name.startswith(ACTIVITY)]
    if active:
        found["dormant_units"] = _dormant(active)
    if FEATURES in answers:
        features = np.asarray(answers[FEATURES])
        found["feature_rank"] = effective_rank(singular_values(features), min(features.shape))
    return found


def _dormant(layers: Iterable[Array]) -> float:
    silent = np.concatenate(list(_silent(layers)))
    return float(silent.mean())


def _silent(layers: Iterable[Array]) -> Iterator[Array]:
    for layer in layers:
        sizes = np.asarray(layer, np.float64)
        if not np.isfinite(sizes).all():
            yield np.full(len(sizes), np.nan)
        else:
            yield (sizes <= DORMANT * sizes.mean()).astype(float)
