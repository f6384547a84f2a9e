"""Imported once by the server that `cluster.cells` forks from: what every cell would load anew.

Both frameworks, with no device of either at work yet, and the data of the workloads that
`GRADATHLON_READY` names.
"""

from __future__ import annotations

import os

from cluster.process import set_environment
from scoring.ground.words import Resources

set_environment(Resources())  # before either is imported

import cluster.learners.learner_jax  # noqa: E402
import cluster.learners.learner_torch  # noqa: E402 - both for what they import
import cluster.short_trial  # noqa: E402, F401
import workloads  # noqa: E402

for _id in os.environ.get("GRADATHLON_READY", "").split():
    workloads.get(_id).stream(0).close()
