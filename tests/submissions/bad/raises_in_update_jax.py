"""Raises when its update is traced."""

import optax


def submission(lr=1e-3):
    def update(updates, state, params=None):
        raise RuntimeError("broken on purpose")

    return optax.GradientTransformation(lambda params: (), update)
