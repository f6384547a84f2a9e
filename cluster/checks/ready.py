"""Imported once by the server that `cells.py` forks from: what each cell would otherwise reload.

Both frameworks, with no device of either at work yet, and the data of the workloads that
`GRADATHLON_READY` names.
"""

from __future__ import annotations

import os

from cluster.process import set_environment
from scoring.ground.words import Resources

set_environment(Resources())  # before either is imported

import workloads  # noqa: E402

for _id in os.environ.get("GRADATHLON_READY", "").split():
    workloads.get(_id).stream(0).close()
