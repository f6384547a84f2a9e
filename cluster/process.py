"""The environment of a process that trains: the one place that decides it."""

from __future__ import annotations

import os
import random

import numpy as np

from scoring.ground.words import Resources

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
"""NPROC is what jax 0.10 reads on a CPU; XLA_FLAGS no longer limit its threads."""


def set_environment(resources: Resources) -> None:
    """Lend this process, and what it starts, the accelerators and threads of a trial.

    Must come before torch or jax are first imported: they look once, at import.
    """
    if not resources.gpus:
        os.environ["JAX_PLATFORMS"] = "cpu"
    for name in _THREADS:
        os.environ[name] = str(resources.cores)


def seed_globals(seed: int) -> None:
    """Seed the generators that a submission may draw from by name of their module alone."""
    # torch's global generator is seeded by its own learner; JAX has none.
    random.seed(seed)
    np.random.seed(seed % 2**32)
