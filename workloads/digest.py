"""The digest of what was trained on, so that races on different data are not mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from workloads.contract import Array

WHOLE_BYTES = 2**28
"""Larger arrays are looked at in parts."""
PARTS = 256
PART_BYTES = 2**16


def data_digest(arrays: Iterable[Array]) -> str:
    """SHA-256 of some arrays: their types, shapes and bytes, in order.

    Of one beyond `WHOLE_BYTES` it takes evenly spread parts, the first and the last among them.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        flat = array.reshape(-1)
        if array.nbytes <= WHOLE_BYTES:
            digest.update(np.ascontiguousarray(flat).tobytes())
            continue
        count = PART_BYTES // array.itemsize
        for start in np.linspace(0, flat.size - count, PARTS).astype(np.int64):
            digest.update(flat[start : start + count].tobytes())
    return digest.hexdigest()
