"""JAX's global settings: the values a race requires, and restoring them after changes."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from cluster.learners.contract import refuse_other_arithmetic

_PRECISION = "jax_default_matmul_precision"
_WANTED: dict[str, object] = {
    "jax_enable_x64": False,
    _PRECISION: None,
    "jax_disable_jit": False,
    "jax_debug_nans": False,
    "jax_numpy_dtype_promotion": "standard",
}


def taken() -> list[str]:
    """What differs from what the harness set, one phrase each."""
    settings = {name: getattr(jax.config, name) for name in _WANTED}
    return [
        f"{name} is {settings[name]}" for name, right in _WANTED.items() if settings[name] != right
    ]


def see_that_loss_is_the_races(weights: Mapping[str, jax.Array]) -> None:
    """A loss is about to be taken, or traced: in the workload's arithmetic.

    Raises:
        SubmissionError: it would be taken in another one.
    """
    precision = getattr(jax.config, _PRECISION)
    odd = next((name for name, p in weights.items() if p.dtype != jnp.float32), None)
    if precision is not None:
        what = f"{_PRECISION} is {precision}"
    elif odd is not None:
        what = f"{odd!r} is {weights[odd].dtype}"
    else:
        return
    refuse_other_arithmetic(what)


def give_back() -> None:
    """Set everything as the harness wants it."""
    for name, right in _WANTED.items():
        if getattr(jax.config, name) != right:
            jax.config.update(name, right)
