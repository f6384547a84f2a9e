"""The JAX learner: how an optax transformation or a JAX submission trains a workload's model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cluster.checkpoint import StateError
from cluster.learners.contract import DeviceError, Draw, Entry, warm_up_policy
from submissions.contract import JaxSubmission
from workloads.contract import Array, Batch, JaxModel

Tree = Any
_Step = Callable[[Tree, Tree, Tree, Any, Tree], tuple[Tree, Tree, Tree, Any]]


class _Problem:
    """The training objective as JAX submission objects see it, within one step."""

    def __init__(self, model: JaxModel, rng: Any) -> None:
        self._model = model
        self._rng = rng

    def loss(self, params: Tree, batch: Tree) -> Any:
        return self._model.loss(params, batch, self._rng)[0]

    def value_and_grad(self, params: Tree, batch: Tree) -> tuple[Any, Tree]:
        return jax.value_and_grad(self.loss)(params, batch)

    def measure(self, params: Tree, batch: Tree) -> Tree:
        return self._model.measure(params, batch)


class _TransformationRules:
    """How an optax transformation makes a step."""

    def __init__(self, transformation: Any, module: Any) -> None:
        # Line searches, Polyak steps and MoMo ask for the loss; the others ignore it.
        self.transformation = optax.with_extra_args_support(transformation)
        self.eval_params = getattr(module, "eval_params", None)
        self.select_data = getattr(module, "select_data", None)

    def init(self, params: Tree) -> Tree:
        return self.transformation.init(params)

    def step(self, model: JaxModel, params: Tree, state: Tree, batch: Tree, rng: Any) -> Any:
        (value, sums), gradients = jax.value_and_grad(model.loss, has_aux=True)(params, batch, rng)
        updates, state = self.transformation.update(
            gradients,
            state,
            params,
            value=value,
            grad=gradients,
            value_fn=lambda other: model.loss(other, batch, rng)[0],
        )
        params = optax.apply_updates(params, updates)
        return params, state, {"loss": value, **sums}


class _ObjectRules:
    """How an object with `init` and `update` makes a step."""

    def __init__(self, submission: JaxSubmission) -> None:
        self.submission = submission
        self.eval_params = getattr(submission, "eval_params", None)
        self.select_data = getattr(submission, "select_data", None)

    def init(self, params: Tree) -> Tree:
        return self.submission.init(params)

    def step(self, model: JaxModel, params: Tree, state: Tree, batch: Tree, rng: Any) -> Any:
        # At the weights before the update, whatever the submission does; where it takes the same
        # loss, the compiler makes one of both.
        value, sums = model.loss(params, batch, rng)
        params, state = self.submission.update(params, state, batch, _Problem(model, rng))
        return params, state, {"loss": value, **sums}


_Rules = _TransformationRules | _ObjectRules


def _rules(made: Any, module: Any) -> _Rules:
    # `submissions.load.build` has seen to it that `made` is one of these.
    if isinstance(made, optax.GradientTransformation):
        return _TransformationRules(made, module)
    return _ObjectRules(made)


class JaxLearner:
    """See `cluster.learners.contract.Learner`."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._model = entry.workload.jax_model()
        gpus = entry.resources.gpus
        if gpus and jax.default_backend() == "cpu":
            raise DeviceError(
                f"a trial asks for {gpus} accelerator(s) and JAX {jax.__version__} finds none: "
                "pip install 'jax[cuda13]', or set `gpus: 0`"
            )
        self._key = jax.random.key(entry.seed)
        self._rules = _rules(entry.build(None), entry.module)
        self._train = self._compile_step()
        self._measure = jax.jit(self._model.measure)
        eval_params = self._rules.eval_params
        self._eval_params = jax.jit(eval_params) if eval_params else None
        self._act = jax.jit(getattr(self._model, "act", None) or _no_act)
        self._kept: Tree = None
        self._names: tuple[str, ...] = ()
        self._params: Tree = None
        self._state: Tree = None
        self._sums: Tree = None
        self._steps: Any = None
        self._judged: Tree = None

    def _compile_step(self) -> _Step:
        model, rules, key = self._model, self._rules, self._key

        def train(params: Tree, state: Tree, sums: Tree, steps: Any, batch: Tree) -> Any:
            rng = jax.random.fold_in(key, steps)
            params, state, new = rules.step(model, params, state, batch, rng)
            # One vector, not a scalar each: every buffer costs a small step its microseconds.
            sums = sums + jnp.stack([new[name].astype(jnp.float32) for name in self._names])
            return model.project(params), state, sums, steps + 1

        return jax.jit(train, donate_argnums=(0, 1, 2, 3))

    def warm_up(self, batches: list[Batch], observations: Sequence[Array] = ()) -> None:
        shapes = jax.eval_shape(self._model.loss, self._initial(), batches[0], jax.random.key(0))
        self._names = ("loss", *(name for name in sorted(shapes[1]) if name != "loss"))
        self.begin()
        warm_up_policy(self, observations)
        ready = iter(batches)
        for _ in batches:
            self.step(lambda: next(ready, batches[0]))
        self.prepare_evaluation()

    def begin(self) -> None:
        self._params = self._initial()
        state = self._rules.init(self._params)
        _check_state(state)
        # Copied: some states hold the very arrays of the weights, and both are donated. Python
        # numbers would be weakly typed, and a checkpoint cannot give that back.
        self._state = jax.tree.map(
            lambda leaf: (
                leaf.copy() if isinstance(leaf, jax.Array) else jnp.array(np.asarray(leaf))
            ),
            state,
        )
        self._sums = jnp.zeros(len(self._names), jnp.float32)
        self._steps = jnp.zeros((), jnp.int32)
        self._judged = self._kept = None

    def step(self, draw: Draw) -> None:
        if self._rules.select_data is None:
            batch = draw()
        else:
            problem = _Problem(self._model, jax.random.fold_in(self._key, self._steps))
            batch, self._state = self._rules.select_data(
                self._params, self._state, _drawn(draw), problem
            )
        self._params, self._state, self._sums, self._steps = self._train(
            self._params, self._state, self._sums, self._steps, batch
        )

    def synchronize(self) -> None:
        jax.block_until_ready((self._params, self._state, self._sums, self._judged))

    def prepare_evaluation(self) -> None:
        if self._eval_params is None:
            self._judged = self._params
        else:
            self._judged = self._eval_params(self._params, self._state)

    def measure(self, batch: Batch) -> dict[str, Array]:
        return jax.device_get(self._measure(self._judged, batch))

    def finite(self) -> bool:
        weights = jax.device_get(self._judged)
        return all(bool(np.isfinite(value).all()) for value in weights.values())

    def act(self, observations: Array) -> Array:
        return np.asarray(self._act(self._params, observations))

    def keep(self) -> None:
        # Copied: the next step donates the weights.
        self._kept = {name: value.copy() for name, value in self._params.items()}

    def act_as_kept(self, observations: Array) -> Array:
        return np.asarray(self._act(self._kept, observations))

    def resume_training(self) -> None:
        self._judged = None  # the step donates the weights: no second name for them may live

    def drain(self) -> dict[str, float]:
        sums = np.asarray(self._sums)
        self._sums = jnp.zeros(len(self._names), jnp.float32)
        return dict(zip(self._names, map(float, sums), strict=True))

    def state(self) -> dict[str, Any]:
        leaves = [_to_numpy(leaf) for leaf in jax.tree.leaves(self._state)]
        return {
            "weights": jax.device_get(self._params),
            "algorithm": leaves,
            "steps": np.asarray(self._steps),
            "kept": jax.device_get(self._kept),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        leaves, structure = jax.tree.flatten(self._state)
        kept = [
            _from_numpy(saved, like) for saved, like in zip(state["algorithm"], leaves, strict=True)
        ]
        self._state = jax.tree.unflatten(structure, kept)
        self._params = _copied(state["weights"])
        self._steps = jnp.array(state["steps"])
        self._kept = None if state["kept"] is None else _copied(state["kept"])

    def _initial(self) -> Tree:
        return _copied(self._entry.weights)


def _no_act(params: Tree, observations: Tree) -> Tree:
    raise NotImplementedError("this workload's model has no `act`: its stream must not ask")


def _check_state(state: Tree) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | bool):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise StateError(f"state/{name} is a {type(leaf).__qualname__}")


def _copied(arrays: dict[str, Any]) -> Tree:
    # `device_put` may alias numpy memory, and the step donates its arguments: copy.
    return {name: jnp.array(value) for name, value in arrays.items()}


def _drawn(draw: Draw) -> Iterator[Tree]:
    while True:
        yield draw()


def _to_numpy(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf)


def _from_numpy(saved: Any, like: Any) -> Any:
    if isinstance(like, jax.Array) and jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.array(saved), impl=jax.random.key_impl(like))
    return jnp.array(saved)
