"""What a metric can be by its name: no share is beyond 1, and no norm below 0.

Only names that say it are held to it. What is not finite is told as it is, whatever the name.
"""

from __future__ import annotations

import functools
import math
import re

import numpy as np

_ROUNDING = 1e-6
_RANGES = {
    r"diagnostics/(weight_norm|spectral_norm|gradient_norm)": (0.0, math.inf),
    r"diagnostics/(effective_rank|feature_rank|dormant_units)": (0.0, 1.0),
    r".*/(bits_per_byte|nats_per_token|logloss|rmse)(_mean\d+)?": (0.0, math.inf),
    r"(gate/.*|(validation|warm|train|test)/((hit_rate|recall|mrr)_at_\d+|auc)"
    r"|(validation|train|test)/accuracy)": (0.0, 1.0),
}


@functools.lru_cache(maxsize=4096)
def bounds(name: str) -> tuple[float, float]:
    """The least and the largest that a metric of this name can be."""
    for form, low_and_high in _RANGES.items():
        if re.fullmatch(form, name):
            return low_and_high
    return -math.inf, math.inf


def holds(name: str, value: float) -> bool:
    """Whether a metric of this name can have this value."""
    low, high = bounds(name)
    return not math.isfinite(value) or low - _ROUNDING <= value <= high + _ROUNDING


def hold(name: str, values: np.ndarray) -> bool:
    """Whether a metric of this name can have all of these values."""
    low, high = bounds(name)
    if low == -math.inf:
        return True
    inside = (low - _ROUNDING <= values) & (values <= high + _ROUNDING)
    return bool((inside | ~np.isfinite(values)).all())


def range_of(name: str) -> str:
    """The same in words."""
    _, high = bounds(name)
    return "0 or more" if high == math.inf else f"from 0 to {high:g}"
