"""ReDo on Adam: dormant units are recycled (own lines; Sokar et al. 2023, arXiv 2302.12902).

The JAX twin of `redo`, whose docstring describes the method; what it draws is another.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Arrays, Card, Problem

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "threshold": {"min": 1e-3, "max": 0.3, "scaling": "log"},
    "period": {"feasible_points": [100, 1000]},
}

State = dict[str, Any]


def submission(
    workload: Card,
    lr: float = 1e-3,
    threshold: float = 0.1,
    period: int = 1000,
    sample: int = 16,
) -> "Redo":
    return Redo(lr, threshold, (period, sample), units(workload), workload.seed)


def units(workload: Card) -> dict[str, str]:
    """Which matrix reads the units of which: name of the reader by the name of the writer."""
    shapes, chain = workload.shapes, [""]
    readers: dict[str, str] = {}
    for name, role in workload.roles.items():
        if role not in ("weight", "head"):
            chain = chain if role == "bias" else [""]
            continue
        writer = chain[-1]
        if writer and shapes[writer][0] == shapes[name][1]:
            square = shapes[writer][0] == shapes[writer][1]
            # Of two in a row of one shape, the second is a gate beside the first.
            gate = not square and shapes[writer] == shapes.get(chain[-2])
            inside = not square or role == "head" or writer in readers.values()
            if inside and not gate:
                readers[writer] = name
        chain.append(name)
    if not readers:
        raise ValueError("this workload's model has no feed-forward units to recycle")
    return readers


class Redo:
    """State: `adam`, `steps`, `key`, and the initial `deviation` of each matrix with units."""

    def __init__(
        self,
        lr: float,
        threshold: float,
        often: tuple[int, int],
        readers: dict[str, str],
        seed: int,
    ) -> None:
        self.lr = lr
        self.threshold = threshold
        self.period, self.sample = often
        self.readers = readers
        self.seed = seed
        self.base = optax.scale_by_adam()

    def init(self, params: Arrays) -> State:
        """Adam's state, and what new weights are drawn by."""
        return {
            "adam": self.base.init(params),
            "steps": jnp.zeros((), jnp.int32),
            "key": jax.random.key(self.seed),
            "deviation": {name: jnp.std(params[name], ddof=1) for name in self.readers},
        }

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """One step of Adam; after a period, the recycling."""
        _, gradients = problem.value_and_grad(params, batch)
        direction, adam = self.base.update(gradients, state["adam"])
        params = {name: p - self.lr * direction[name] for name, p in params.items()}
        steps = state["steps"] + 1
        key = jax.random.fold_in(state["key"], steps)

        def renewed() -> tuple[Arrays, optax.OptState]:
            activity = self._activity(params, batch, problem)
            now = params, adam
            for number, (writer, reader) in enumerate(self.readers.items()):
                noise = jax.random.normal(jax.random.fold_in(key, number), params[writer].shape)
                new = state["deviation"][writer] * noise.astype(params[writer].dtype)
                now = recycled(*now, (writer, reader), activity[writer] <= self.threshold, new)
            return now

        params, adam = jax.lax.cond(steps % self.period == 0, renewed, lambda: (params, adam))
        return params, state | {"adam": adam, "steps": steps}

    def _activity(self, params: Arrays, batch: Arrays, problem: Problem[jax.Array]) -> Arrays:
        size = max(map(len, batch.values()))
        own = {name: rows[: self.sample] for name, rows in batch.items() if len(rows) == size}

        def of(example: Arrays) -> Arrays:
            one = batch | {name: row[None] for name, row in example.items()}
            _, gradients = problem.value_and_grad(params, one)
            return {w: jnp.linalg.norm(gradients[r], axis=0) for w, r in self.readers.items()}

        return {writer: _relative(norms) for writer, norms in jax.vmap(of)(own).items()}


def _relative(norms: jax.Array) -> jax.Array:
    """The mean over examples of what is relative to the layer's mean.

    Without those examples whose gradient does not reach the layer; ones where none does.
    """
    means = norms.mean(1, keepdims=True)
    reached = means > 0
    shares = jnp.where(reached, norms / jnp.where(reached, means, 1.0), 0.0).sum(0)
    return jnp.where(reached.any(), shares / reached.sum(), 1.0)


def recycled(
    params: Arrays,
    adam: optax.ScaleByAdamState,
    names: tuple[str, str],
    gone: jax.Array,
    new: jax.Array,
) -> tuple[Arrays, optax.ScaleByAdamState]:
    """New incoming weights, none outgoing, and no moments for the units that are `gone`."""
    writer, reader = names
    bias = writer.removesuffix("weight") + "bias"
    rows = {writer: gone[:, None], reader: gone[None, :]}
    rows |= {bias: gone} if bias in params else {}

    def cleared(moment: Arrays) -> Arrays:
        return moment | {name: jnp.where(where, 0.0, moment[name]) for name, where in rows.items()}

    renewed = cleared(params) | {writer: jnp.where(rows[writer], new, params[writer])}
    return renewed, adam._replace(mu=cleared(adam.mu), nu=cleared(adam.nu))
