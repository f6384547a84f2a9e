"""From a framework's name to its learner; the framework is imported only then."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.learners.contract import Entry, Learner
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

    return JaxLearner(entry, batches, observations)
