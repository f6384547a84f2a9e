"""What the known keys of a record's free-form parts may hold; other keys hold what they like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from scoring.ground.words import Facts

LARGEST = 2**53
"""Of counts; beyond it other tools' numbers are no longer exact."""
Form = tuple[str, Callable[[object], bool]]
"""In words, and as a question."""


def short(value: object) -> str:
    """A value as it may stand in an error."""
    if type(value) is int and abs(value) > LARGEST:
        return "a number beyond 2^53"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST)


def _is_seconds(value: object) -> bool:
    return isinstance(value, float | int) and _is_number(value) and 0 <= value < math.inf


def _is_share(value: object) -> bool:
    return isinstance(value, float | int) and _is_number(value) and 0 <= value <= 1


def _are_metrics(value: object) -> bool:
    words = ("NaN", "Infinity", "-Infinity")
    return isinstance(value, dict) and all(_is_number(v) or v in words for v in value.values())


_COUNT: Form = "a whole number, 0 or more", _is_count
_SECONDS: Form = "finite seconds, 0 or more", _is_seconds
_TEXT: Form = "text", lambda value: isinstance(value, str)
_LIST: Form = "a list", lambda value: isinstance(value, list)
HARDWARE: Mapping[str, Form] = {
    **dict.fromkeys(("cores", "threads"), ("1 or more", lambda v: _is_count(v) and v != 0)),
    **dict.fromkeys(("cpu", "simd", "system", "digest"), _TEXT),
    **dict.fromkeys(("accelerators", "pinned"), _LIST),
}
OUTCOME: Mapping[str, Form] = {
    **dict.fromkeys(("step_s_median", "step_s_p10", "step_s_p90"), _SECONDS),
    **dict.fromkeys(("evaluation_s", "checkpoint_s", "reference_turns_s"), _SECONDS),
    **dict.fromkeys(("reference_step_s", "witness_wall_s", "witness_cpu_s"), _SECONDS),
    **dict.fromkeys(("attempts", "compilations", "leftover_processes", "leftover_threads"), _COUNT),
    **dict.fromkeys(("doubt", "fault", "traceback", "changed_directory"), _TEXT),
    **dict.fromkeys(("audit", "changed_signals"), _LIST),
    "off_clock_share": ("a share, 0 to 1", _is_share),
    "step_s_unsteady": ("true or false", lambda value: isinstance(value, bool)),
    "test": ("names with numbers", _are_metrics),
    "weights_sha256": ("64 hexadecimal digits", lambda value: _is_digest(value)),
}


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def check(facts: Facts, known: Mapping[str, Form], where: str = "") -> None:
    """Refuse a known key that holds something else.

    Raises:
        ValueError: which, and what was expected.
    """
    for name in known.keys() & facts.keys():
        what, holds = known[name]
        if not holds(facts[name]):
            raise ValueError(f"{where}{name}: expected {what}, found {short(facts[name])}")
