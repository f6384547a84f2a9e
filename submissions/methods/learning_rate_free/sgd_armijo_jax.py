"""SGD with a backtracking line search on each batch (optax; Vaswani et al., arXiv 1905.09997).

Of 2019. The rate, at most `max_lr`, starts at `increase` times the last one and falls by `decrease`
until the batch's own loss has come down by `sufficient` times the rate times the squared norm of
the gradient (Armijo's rule), at most `most` times; a step that only leads to NaN is left out, and
the next search begins as if it had not been. Every loss is on the clock. The constants are the
paper's, where optax has others; but the paper grows the rate by 2 an epoch, and here it grows by
`increase` a step, for streams have no epochs.
"""

import jax.numpy as jnp
import optax

SEARCH_SPACE = {
    "max_lr": {"min": 1e-1, "max": 1e2, "scaling": "log"},
    "sufficient": {"min": 1e-4, "max": 0.5, "scaling": "log"},
    "increase": {"feasible_points": [1.1, 1.5, 2.0]},
}


def submission(
    max_lr: float = 1.0,
    sufficient: float = 0.1,
    decrease: float = 0.9,
    increase: float = 2.0,
    most: int = 100,
) -> optax.GradientTransformation:
    search = optax.scale_by_backtracking_linesearch(
        most,
        slope_rtol=sufficient,
        decrease_factor=decrease,
        increase_factor=increase,
        max_learning_rate=max_lr,
    )
    return optax.chain(optax.sgd(1.0), _resuming(search))


def _resuming(
    search: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """The search, which does not keep the rate of a step left out: 0, that never grows again."""

    def update(
        updates: optax.Updates,
        state: optax.ScaleByBacktrackingLinesearchState,
        params: optax.Params | None = None,
        **given: object,
    ) -> tuple[optax.Updates, optax.ScaleByBacktrackingLinesearchState]:
        scaled, after = search.update(updates, state, params, **given)
        rate = jnp.where(after.learning_rate > 0, after.learning_rate, state.learning_rate)
        return scaled, after._replace(learning_rate=rate)

    return optax.GradientTransformationExtraArgs(search.init, update)
