"""What the known keys of a record's free-form parts may hold; other keys hold what they like."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping

from scoring.ground.words import Facts

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""Numbers that JSON has none of, as they are written."""
LARGEST = 2**53
"""Of counts; beyond it other tools' numbers are no longer exact."""
LATEST = 1e10
"""Seconds that a clock may show: three centuries."""
LONGEST = 300
"""Characters of a name."""
UNSTEADY = 1.5
"""Steps are called unsteady where the slowest tenth take more than so many times the quickest's."""
_SLACK, _SLACK_S = 0.1, 1.0
"""By this share, and these seconds, clocks of two processes may differ without a doubt told."""
_PACKAGES = ("python", "torch", "jax", "jaxlib", "numpy")
FINGERPRINT = frozenset(
    {"cpu", "simd", "cores", "threads", "accelerators", "system", "digest", *_PACKAGES}
)
"""The facts of the hardware that a record of ours holds; only such a digest can be held to them."""
NOT_DIGESTED = ("digest", "pinned")
"""Facts that make no other hardware: the digest itself, and which of the cores were in use."""
Form = tuple[str, Callable[[object], bool]]
"""In words, and as a question."""


def exceeds(some_s: float, others_s: float) -> bool:
    """Whether one clock shows more than another, by more than two witnesses may differ."""
    return some_s > (1 + _SLACK) * others_s + _SLACK_S


def short(value: object) -> str:
    """A value as it may stand in an error."""
    if type(value) is int and abs(value) > LARGEST:
        return "a number beyond 2^53"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def is_name(value: object) -> bool:
    """Whether a value can be a name: printable text, not empty, without blanks at its ends."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        return False
    return value.isprintable() and value == value.strip()


def is_digest(value: object) -> bool:
    """Whether a value is a SHA-256 in hexadecimal digits."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def is_text(value: object) -> bool:
    """Whether a value says something."""
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST)


def _is_seconds(value: object) -> bool:
    return isinstance(value, float | int) and _is_number(value) and 0 <= value <= LATEST


def _is_share(value: object) -> bool:
    return isinstance(value, float | int) and _is_number(value) and 0 <= value <= 1


def _are_metrics(value: object) -> bool:
    return isinstance(value, dict) and all(
        is_name(name) and (_is_number(v) or (isinstance(v, str) and v in NOT_FINITE))
        for name, v in value.items()
    )


def _are_devices(value: object) -> bool:
    return isinstance(value, list) and all(
        is_name(one) or (isinstance(one, dict) and all(map(is_name, (*one, *one.values()))))
        for one in value
    )


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_cores(value: object) -> bool:
    return isinstance(value, list) and _are_counts(value) and len(set(value)) == len(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def _are_shares(value: object) -> bool:
    return _is_share(value) or (isinstance(value, list) and all(map(_is_share, value)))


_COUNT: Form = "a whole number, 0 or more", _is_count
_SECONDS: Form = "finite seconds, 0 to 1e10", _is_seconds
_NAME: Form = f"a name of 1 to {LONGEST} characters", is_name
_TEXT: Form = "non-empty text", is_text
_TEXTS: Form = "a list of texts", _are_texts
HARDWARE: Mapping[str, Form] = {
    **dict.fromkeys(
        ("cores", "threads", "ranks"), ("1 or more", lambda v: _is_count(v) and v != 0)
    ),
    **dict.fromkeys(("cpu", "simd", "system", "digest", *_PACKAGES), _NAME),
    "accelerators": ("a list of devices", _are_devices),
    "pinned": ("a list of distinct cores", _are_cores),
}
OUTCOME: Mapping[str, Form] = {
    **dict.fromkeys(("step_s_median", "step_s_p10", "step_s_p90"), _SECONDS),
    **dict.fromkeys(("evaluation_s", "checkpoint_s", "reference_turns_s"), _SECONDS),
    **dict.fromkeys(("reference_step_s", "witness_wall_s", "witness_cpu_s"), _SECONDS),
    **dict.fromkeys(("attempts", "compilations", "leftover_processes", "leftover_threads"), _COUNT),
    **dict.fromkeys(("doubt", "fault", "traceback", "changed_directory"), _TEXT),
    **dict.fromkeys(("audit", "changed_signals"), _TEXTS),
    "off_clock_share": ("a share, 0 to 1", _is_share),
    "step_s_unsteady": ("true or false", lambda value: isinstance(value, bool)),
    "test": ("names with numbers", _are_metrics),
    "weights_sha256": ("64 hexadecimal digits", is_digest),
}
EVENT: Mapping[str, Form] = {
    **dict.fromkeys(("at", "images"), _COUNT),
    "classes": ("a list of whole numbers", _are_counts),
    "accuracy": ("a share, 0 to 1, or a list of them", _are_shares),
}


def check(facts: Facts, known: Mapping[str, Form], where: str = "") -> None:
    """Refuse a known key that holds something else.

    Raises:
        ValueError: which, and what was expected.
    """
    for name in known.keys() & facts.keys():
        what, holds = known[name]
        if not holds(facts[name]):
            raise ValueError(f"{where}{name}: expected {what}, found {short(facts[name])}")


def digest_of(hardware: Facts) -> str:
    """The short hash by which equal hardware is known: of all its facts but the cores in use."""
    facts = {name: value for name, value in hardware.items() if name not in NOT_DIGESTED}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def check_hardware(hardware: Facts, versions: Mapping[str, str]) -> None:
    """Refuse hardware that is none, or whose digest or versions are of another.

    Raises:
        ValueError: what, and what was expected.
    """
    check(hardware, HARDWARE, "hardware.")
    for name, version in versions.items():
        if not (is_name(name) and is_name(version)):
            raise ValueError(f"versions.{short(name)}: expected {_NAME[0]}, found {short(version)}")
    if not hardware.keys() >= FINGERPRINT:
        return  # another tool's, which tells what it likes
    if hardware["digest"] != digest_of(hardware):
        raise ValueError("hardware.digest: does not match the hardware facts")
    for name in hardware.keys() & versions.keys():
        if not f"{versions[name]}.".startswith(f"{hardware[name]}."):
            told = f"{versions[name]}, but hardware.{name} is {hardware[name]}"
            raise ValueError(f"versions.{name}: {told}")


def check_times(outcome: Facts) -> None:
    """Refuse seconds a step that contradict each other.

    Raises:
        ValueError: which.
    """
    if not {"step_s_p10", "step_s_median", "step_s_p90"} <= outcome.keys():
        return
    low, middle, high = (outcome[f"step_s_{name}"] for name in ("p10", "median", "p90"))
    if not low <= middle <= high:
        raise ValueError(f"step_s_median: {middle:g} is not between {low:g} and {high:g}")
    unsteady = outcome.get("step_s_unsteady")
    if unsteady is not None and unsteady != (high > UNSTEADY * low):
        raise ValueError(f"step_s_unsteady: {unsteady}, but steps took {low:g} to {high:g} s")


def check_share(wall_s: float, outcome: Facts) -> None:
    """Refuse a share off the clock that leaves more seconds on it than the clock shows.

    Raises:
        ValueError: what cannot be.
    """
    share, seen_s = outcome.get("off_clock_share"), outcome.get("witness_wall_s")
    if share is None or seen_s is None:
        return
    if (1 - share) * seen_s > wall_s + 1e-4 * seen_s + 0.01:
        raise ValueError(
            f"off_clock_share: {share:g} of {seen_s:g} s, but {wall_s:g} s were on the clock"
        )
