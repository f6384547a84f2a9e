"""How often XLA compiled in this process, or took compiled code from its cache."""

from __future__ import annotations

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"
_count = 0


def compilations() -> int:
    """How many times so far."""
    return _count


def _hear(event: str, duration_secs: float, **kwargs: str | int) -> None:
    global _count
    _count += event == _EVENT


jax.monitoring.register_event_duration_secs_listener(_hear)
