"""The environment of a process that trains: the one place that decides it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

# Bound before any submission runs: they are called while the clock stands.
from random import getstate as _python_state
from random import setstate as _load_python

import numpy as np
from numpy.random import get_state as _numpy_state
from numpy.random import set_state as _load_numpy
from threadpoolctl import threadpool_limits

from cluster.hardware import instructions
from scoring.ground.cache import cache_folder
from scoring.ground.words import Resources, StateDict

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
"""NPROC is what jax 0.10 reads on a CPU; XLA_FLAGS no longer limit its threads."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_MALLOC = {-8: 1, -4: 0, -1: -1}
"""glibc's M_ARENA_MAX, M_MMAP_MAX and M_TRIM_THRESHOLD, and what is set (malloc.h, mallopt(3))."""


def python(module: str, descriptor: int) -> list[str]:
    """The words that start another Python, which imports from where this one does.

    It runs the module's `main`; the descriptor, its line to here, is its first argument.
    """
    start = (
        "import sys, json; sys.path[:] = json.loads(sys.argv[2]); "
        f"from {module} import main; main()"
    )
    return [sys.executable, "-c", start, str(descriptor), json.dumps(sys.path)]


def die_with_parent() -> None:
    """Have the kernel end this process with the one that started it, however that ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def set_environment(resources: Resources) -> None:
    """Lend this process, and what it starts, the accelerators and threads of a trial.

    Must come before torch or jax are first imported: they look once, at import.
    """
    if not resources.gpus:
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.update(threads(resources))
    for name, value in _compiled().items():
        os.environ.setdefault(name, value)
    # numpy's own algebra was loaded before. On more threads than it has cores it takes hundreds of
    # times as long: they wait for each other at every column.
    threadpool_limits(resources.cores, user_api="blas")
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep what this process frees for its next step, instead of giving it back.

    By default an array of some megabytes is mapped anew and filled with zeros by the kernel, page
    by page, in some steps and not in others, as the heap happens to lie: half again the time of a
    step of lm-toy in JAX, in about a third of all trials. Frameworks do the same for accelerators,
    by allocators of their own.
    """
    with contextlib.suppress(AttributeError):  # another C library: nothing is known to be amiss
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOC.items():
            mallopt(parameter, value)


def lend_scratch(folder: str) -> None:
    """Have temporary files of this process, and of what it starts, made in a folder of its own.

    What torch compiles is kept where it was, for the trials that come.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(inductor_cache())
    if folder:
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = None  # asked for before, perhaps, and kept


def inductor_cache() -> Path:
    """Where torch keeps what it compiled; by its own rule, which would follow TMPDIR."""
    own = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    return Path(own or f"{tempfile.gettempdir()}/torchinductor_{os.getuid()}")


def threads(resources: Resources) -> dict[str, str]:
    """The variables that hold a process to the threads of a trial, from its start on."""
    return dict.fromkeys(_THREADS, str(resources.cores))


def _compiled() -> dict[str, str]:
    """Where JAX keeps what it compiled: a trial's warm-up need not compile what another's did.

    Beside the data, by class of CPU: a folder may be shared by machines of several. All that a
    trial compiles on its clock its own warm-up has compiled and kept before, so that the first
    trial has no longer a way than the next.
    """
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder() / "jax" / instructions()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
    }


def seed_globals(seed: int) -> None:
    """Seed the generators that a submission may draw from by name of their module alone."""
    # torch's global generator is seeded by its own learner; JAX has none.
    random.seed(seed)
    np.random.seed(seed % 2**32)


def globals_state() -> StateDict:
    """Where these generators stand, as a checkpoint keeps it."""
    return {"python": _python_state(), "numpy": _numpy_state(legacy=False)}


def load_globals(state: StateDict) -> None:
    """Have them go on where `globals_state` found them."""
    _load_python(state["python"])
    _load_numpy(state["numpy"])
