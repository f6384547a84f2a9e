"""JAX's global settings: what a race wants them to be, and giving back what was changed."""

from __future__ import annotations

import jax

_WANTED: dict[str, object] = {
    "jax_enable_x64": False,
    "jax_default_matmul_precision": None,
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


def give_back() -> None:
    """Set everything as the harness wants it."""
    for name, right in _WANTED.items():
        if getattr(jax.config, name) != right:
            jax.config.update(name, right)
