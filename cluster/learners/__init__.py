"""From a framework's name to its learner; the framework is imported only then."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cluster.learners.contract import Entry, Learner
from submissions.contract import SubmissionError
from workloads.contract import Array, Batch


def make_learner(
    framework: str, entry: Entry, batches: Sequence[Batch], observations: Sequence[Array] = ()
) -> Learner:
    """The learner of "torch" or "jax", compiled and warmed up: all that the clock must not see.

    It asks the policy about the observations, trains on the batches and makes ready for an
    evaluation; `begin` throws all of it away.
    """
    if framework == "torch":
        from cluster.learners.learner_torch import TorchLearner

        return TorchLearner(entry, batches, observations)
    from cluster.learners.learner_jax import JaxLearner

    try:
        return JaxLearner(entry, batches, observations)
    except ValueError as error:
        # optax's words for a role of ours that the file's `multi_transform` does not name.
        if entry.build_by_shape is None or "no corresponding transformation" not in str(error):
            raise
    try:
        by_shape = dataclasses.replace(entry, build=entry.build_by_shape, build_by_shape=None)
        return JaxLearner(by_shape, batches, observations)
    except ValueError as error:
        if "no corresponding transformation" not in str(error):
            raise
        words = " ".join(str(error).split())
        raise SubmissionError(f"{words}; name every role of `workload.roles`") from error
