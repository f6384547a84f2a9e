"""Data that a test cannot fetch within its time."""

from __future__ import annotations

from typing import Any

import pytest

import workloads
from workloads.contract import Workload


def workload_at_hand(id: str) -> Workload[Any]:
    """The workload, whose data are here or fetched within seconds; skips the test otherwise."""
    workload = workloads.get(id)
    if not workload.at_hand():
        pytest.skip(f"not generated here yet: gradathlon data fetch {id.split('+')[0]}")
    return workload
