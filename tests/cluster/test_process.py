from __future__ import annotations

import json
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
