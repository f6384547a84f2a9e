"""Continual backprop on Adam (own lines; Dohare et al. 2024, Nature 632; arXiv 2306.13812).

The JAX twin of `continual_backprop`, whose docstring describes it; what it draws is another.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from submissions.contract import Arrays, Card, Problem

SEARCH_SPACE = {
    "lr": {"min": 1e-4, "max": 3e-2, "scaling": "log"},
    "replacement": {"min": 1e-6, "max": 1e-3, "scaling": "log"},
    "maturity": {"feasible_points": [100, 1000]},
}

State = dict[str, Any]


def submission(
    workload: Card,
    lr: float = 1e-3,
    replacement: float = 1e-4,
    one_minus_memory: float = 0.01,
    maturity: int = 100,
) -> "ContinualBackprop":
    readers = units(workload)
    return ContinualBackprop(lr, replacement, one_minus_memory, maturity, (readers, workload.seed))


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


class ContinualBackprop:
    """State: `adam`, `steps`, `key`; by matrix `deviation`, `utility`, `age` and what is `due`."""

    def __init__(
        self,
        lr: float,
        replacement: float,
        fresh: float,
        maturity: int,
        made_for: tuple[dict[str, str], int],
    ) -> None:
        self.lr = lr
        self.replacement = replacement
        self.fresh = fresh
        self.maturity = maturity
        self.readers, self.seed = made_for
        self.base = optax.scale_by_adam()

    def init(self, params: Arrays) -> State:
        """Adam's state, no utility, no age."""
        units = {name: jnp.zeros(len(params[name]), params[name].dtype) for name in self.readers}
        return {
            "adam": self.base.init(params),
            "steps": jnp.zeros((), jnp.int32),
            "key": jax.random.key(self.seed),
            "deviation": {name: jnp.std(params[name], ddof=1) for name in units},
            "utility": units,
            "age": units,
            "due": {name: zeros[0] for name, zeros in units.items()},
        }

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """One step of Adam, and at most one unit a layer replaced."""
        _, gradients = problem.value_and_grad(params, batch)
        size = max(map(len, batch.values()))
        one = {name: rows[:1] if len(rows) == size else rows for name, rows in batch.items()}
        _, seen = problem.value_and_grad(params, one)
        direction, adam = self.base.update(gradients, state["adam"])
        params = {name: p - self.lr * direction[name] for name, p in params.items()}
        steps = state["steps"] + 1
        key = jax.random.fold_in(state["key"], steps)
        kept: dict[str, Arrays] = {"utility": {}, "age": {}, "due": {}}
        for number, (writer, reader) in enumerate(self.readers.items()):
            activity = _relative(seen[reader]) * jnp.abs(params[reader]).sum(0)
            gone = self._gone(state, writer, activity, kept)
            row = jax.random.normal(jax.random.fold_in(key, number), params[writer].shape[1:])
            new = state["deviation"][writer] * row.astype(params[writer].dtype)
            params, adam = recycled(params, adam, (writer, reader), gone, new)
        return params, state | kept | {"adam": adam, "steps": steps}

    def _gone(
        self, state: State, writer: str, activity: jax.Array, kept: dict[str, Arrays]
    ) -> jax.Array:
        """The least useful of the grown units, once a whole one is due."""
        utility, age, due = (state[key][writer] for key in ("utility", "age", "due"))
        utility, age = utility + self.fresh * (activity - utility), age + 1
        grown = age > self.maturity
        due = due + self.replacement * grown.sum()
        corrected = utility / (1 - (1 - self.fresh) ** age)
        worst = jnp.where(grown, corrected, jnp.inf).argmin()
        gone = (jnp.arange(len(age)) == worst) & (due >= 1) & grown.any()
        kept["utility"][writer] = jnp.where(gone, 0.0, utility)
        kept["age"][writer] = jnp.where(gone, 0.0, age)
        kept["due"][writer] = due - gone.sum()
        return gone


def _relative(gradient: jax.Array) -> jax.Array:
    """Each column's norm over their mean; ones where no example reaches the layer at all."""
    norms = jnp.linalg.norm(gradient, axis=0)
    mean = norms.mean()
    return jnp.where(mean > 0, norms / jnp.where(mean > 0, mean, 1.0), 1.0)


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
