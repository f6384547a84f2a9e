"""From a framework's name to its learner; the framework is imported only then."""

from __future__ import annotations

from cluster.learners.contract import Entry, Learner


def make_learner(framework: str, entry: Entry) -> Learner:
    """The learner of "torch" or "jax"."""
    if framework == "torch":
        from cluster.learners.learner_torch import TorchLearner

        return TorchLearner(entry)
    from cluster.learners.learner_jax import JaxLearner

    return JaxLearner(entry)
