"""Seeds, drawn from a suite's one: a record's must be the one that its place in the plan has."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A seed below 2**31 that depends on all of `parts` and on nothing else, on any machine."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def trial_seed(seed: int, workload: str, study: int, trial: int) -> int:
    """The seed of a trial's data order, initial weights and randomness.

    The submission does not enter: trials of the same place in a suite start alike, so that
    studies are paired across submissions.
    """
    return derive_seed("trial", seed, workload, study, trial)
