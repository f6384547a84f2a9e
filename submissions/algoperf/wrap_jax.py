"""An AlgoPerf JAX file as a `submissions.contract.JaxSubmission` that compiles itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scoring.ground.words import StateDict
from submissions.algoperf.calls import Calls, Scores
from submissions.algoperf.helpers_jax import get_batch_dim_sharding, get_replicate_sharding
from submissions.algoperf.tree_jax import Layout
from submissions.algoperf.view import Forward, View, as_drawn, as_seen, joined
from submissions.algoperf.words import (
    Batch,
    ByName,
    ModelState,
    OptimizerState,
    RandomState,
    Tensor,
    Weights,
)
from submissions.contract import Arrays, Card, OpenProblem, SubmissionError

_NOTED = "by_products"
"""Where the sums of a step's loss travel through the file's own compiled step: its model state."""


class JaxView(View):
    """The workload for a JAX file, which takes it as a static argument: equal to itself alone."""

    names: tuple[str, ...] = ()
    """The keys of the workload's batches."""
    problem: OpenProblem[jax.Array] | None

    def __init__(self, card: Card, origin: str, device_axis: bool) -> None:
        super().__init__(card, origin)
        self.layout = Layout(card, device_axis)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """In the file's layout."""
        return self.layout.shapes(self._card)

    def tree(self, by_name: ByName) -> ByName:
        """As nested dicts."""
        return self.layout.tree(by_name)

    def is_output_params(self, param_key: str) -> bool:
        """Whether a path or its first part is the output layer's."""
        heads = [path for name, path in self.layout.paths.items() if self._role(name) == "head"]
        return any(param_key in (path[0], "/".join(path), "/".join(path[:-1])) for path in heads)

    def model_fn(self, *given: Any, **named: Any) -> tuple[Forward, ModelState]:
        """(what `loss_fn` takes, a model state that `loss_fn` will write by-products into)."""
        forward, state = super().model_fn(*given, **named)
        state = dict(state) if isinstance(state, Mapping) else {}
        return _Noting(forward.weights, forward.batch, forward.rng, state), state

    def score(self, forward: Forward, mask: Tensor, smoothing: Tensor) -> dict[str, Tensor]:
        """The loss of one forward pass: as the workload's own mean, times the examples."""
        assert self.problem is not None
        assert isinstance(forward, _Noting)
        problem = self.problem
        batch = as_drawn(forward.batch, self.names)
        params = self.layout.inner(self.layout.flat(forward.weights))
        count = max(map(len, batch.values()))
        mean, sums = problem.objective(params, batch, forward.rng, smoothing)
        if _NOTED in forward.state:
            forward.state[_NOTED] = problem.gathered(sums)
        scores = Scores(summed=mean * count, n_valid_examples=jnp.float32(count))
        scores.later = lambda: self.losses(params, batch, smoothing)
        if mask is not None:
            scores["summed"] = (scores["per_example"] * mask).sum()
            scores["n_valid_examples"] = mask.sum()
        return scores

    def _role(self, name: str) -> str:
        return self._card.roles[name]


class _Noting(Forward):
    """A forward pass that knows the model state which goes out beside it."""

    def __init__(self, weights: Weights, batch: Batch, rng: RandomState, state: ByName) -> None:
        super().__init__(weights, batch, rng)
        object.__setattr__(self, "state", state)

    state: ByName


class JaxAlgoperf:
    """The submission object. `compiled` is False: the file compiles its own steps.

    Its state is the file's optimizer state as it is, with the functions that may be in it.
    """

    compiled = False

    def __init__(self, calls: Calls, card: Card, first: ByName) -> None:
        if jax.local_device_count() != 1:
            what = f"JAX finds {jax.local_device_count()} devices; AlgoPerf files train on one"
            raise SubmissionError(f"{what}: set `gpus: 1`")
        assert isinstance(calls.view, JaxView)
        self._calls = calls
        self._batches = calls.batches()
        self._view = calls.view
        self._layout = calls.view.layout
        self._first = first
        self._key = jax.random.PRNGKey(card.seed)
        self._theirs: Weights = None
        self._ours: Arrays | None = None
        # Compiled once for all builds. Laid out from the first as files lay out what they return:
        # they would compile their step again for the second.
        axis = self._layout.device_axis
        self._laid_out = get_batch_dim_sharding() if axis else get_replicate_sharding()
        to_theirs = jax.jit(self._layout.theirs, out_shardings=self._laid_out)
        self._to_theirs = first.setdefault("theirs", to_theirs)
        self._to_ours = first.setdefault("ours", jax.jit(self._layout.ours))
        self._fold_in = first.setdefault("fold_in", jax.jit(jax.random.fold_in))

    def init(self, params: Arrays) -> StateDict:
        """The file's initial state."""
        tree = self._tree(params)
        optimizer = self._calls.init(tree, {}, self._rng(-1))
        # Some states hold the very arrays of the weights, and files donate both.
        copied = jax.tree.map(self._copied, optimizer)
        return {
            "optimizer": _with_functions_of(self._first, copied),
            "step": 0,
            "seconds": 0.0,
        }

    def select_data(
        self,
        params: Arrays,
        state: StateDict,
        draw: Iterator[Arrays],
        problem: OpenProblem[jax.Array],
    ) -> tuple[Batch, StateDict]:
        """The file's choice among the batches."""
        began, step = time.perf_counter(), state["step"]
        draws = map(self._seen, joined(draw, self._batches, np.concatenate))
        tree, rng = self._tree(params), self._rng(step)
        batch = self._calls.select(draws, state["optimizer"], tree, {}, step, rng)
        return batch, self._timed(state, began)

    def update(
        self, params: Arrays, state: StateDict, batch: Batch, problem: OpenProblem[jax.Array]
    ) -> tuple[Arrays, StateDict]:
        """One step of the file's."""
        began, step = time.perf_counter(), state["step"]
        self._view.problem = problem
        optimizer, tree, model = self._calls.update(
            state["seconds"],
            current_param_container=self._tree(params),
            model_state={_NOTED: self._axis(np.zeros(problem.by_products, np.float32))},
            batch=batch,
            optimizer_state=state["optimizer"],
            global_step=step,
            rng=self._rng(step),
        )
        sums = model.get(_NOTED) if isinstance(model, Mapping) else None
        if sums is not None:
            problem.note(sums)
        state_after = {"optimizer": optimizer, "step": step + 1}
        return self._flat(tree), self._timed({**state_after, "seconds": state["seconds"]}, began)

    def prepare(self, params: Arrays, state: StateDict) -> tuple[Arrays, StateDict]:
        """The file's preparation for an evaluation, of the weights that it goes on with."""
        if not self._calls.prepares:
            return params, state
        began, step = time.perf_counter(), state["step"]
        optimizer, tree, _ = self._calls.prepare(
            current_param_container=self._tree(params),
            model_state={},
            optimizer_state=state["optimizer"],
            global_step=step,
            rng=self._rng(step),
        )
        state_after = {**state, "optimizer": optimizer}
        return self._flat(tree), self._timed(state_after, began)

    def _seen(self, batch: ByName) -> Batch:
        self._view.names = tuple(batch)
        return as_seen({name: self._axis(value) for name, value in batch.items()})

    def _copied(self, leaf: object) -> object:
        if not isinstance(leaf, jax.Array):
            return leaf
        whole = leaf.ndim == 0  # without the devices' axis, whatever the file's convention
        return jax.device_put(leaf.copy(), get_replicate_sharding() if whole else self._laid_out)

    def _axis(self, array: Tensor) -> Tensor:
        return array[None] if self._layout.device_axis else array

    def _tree(self, params: Arrays) -> Weights:
        """The weights as the file left them, or as they are now if they are others."""
        if params is not self._ours:
            self._theirs, self._ours = self._to_theirs(params), params
        return self._theirs

    def _flat(self, tree: Weights) -> Arrays:
        self._theirs, self._ours = tree, self._to_ours(tree)
        return self._ours

    def _timed(self, state: StateDict, began: float) -> StateDict:
        return {**state, "seconds": state["seconds"] + time.perf_counter() - began}

    def _rng(self, step: int) -> jax.Array:
        return self._fold_in(self._key, step + 1)


def _with_functions_of(first: ByName, state: OptimizerState) -> OptimizerState:
    """The state with the functions that the first build's had in the places of its own.

    Files take their update function as a static argument: a new one would be compiled again.
    """
    leaves, form = jax.tree.flatten(state)
    places = [place for place, leaf in enumerate(leaves) if callable(leaf)]
    functions = first.setdefault("functions", [leaves[place] for place in places])
    if len(functions) == len(places):
        for place, function in zip(places, functions, strict=True):
            leaves[place] = function
    return jax.tree.unflatten(form, leaves)
