from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_ALLOCATES = """
import ctypes, json, resource
from scoring.ground.words import Resources
from cluster.process import set_environment
set_environment(Resources())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def step():
    # Larger than what glibc would ever come to keep by itself (32 MiB).
    block = libc.malloc(40 << 20)
    libc.memset(block, 1, 40 << 20)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
counts = [step() for _ in range(10)]
print(json.dumps([counts[2], counts[-1]]))
"""


def _faults() -> int:
    """Page faults of seven steps, each of which takes and frees 10,240 pages."""
    words = [sys.executable, "-c", _ALLOCATES]
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    before, after = json.loads(output)
    return int(after - before)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_trial_keeps_what_it_freed_for_its_next_step() -> None:
    assert _faults() < 1000


def test_the_algebra_of_numpy_keeps_to_the_cores_of_a_trial_wherever_it_was_loaded() -> None:
    asks = (
        "import json, numpy; from threadpoolctl import threadpool_info\n"
        "from scoring.ground.words import Resources\n"
        "from cluster.process import set_environment\n"
        "def told(): return [one['num_threads'] for one in threadpool_info()"
        " if one['user_api'] == 'blas']\n"
        "before = told(); set_environment(Resources()); print(json.dumps([before, told()]))\n"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    words = [sys.executable, "-c", asks]
    output = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    before, after = json.loads(output.stdout)
    if before != [2] * len(before):
        pytest.skip("numpy's algebra takes no number of threads here")
    assert after == [1] * len(after)
