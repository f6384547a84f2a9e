"""Makes every parameter NaN at its tenth step."""

import jax
import jax.numpy as jnp
import optax


def submission(lr=1e-3):
    def update(updates, count, params=None):
        poison = jnp.where(count + 1 == 10, jnp.nan, -lr)
        return jax.tree.map(lambda g: poison * g, updates), count + 1

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)
