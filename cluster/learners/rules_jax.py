"""How JAX submissions make a step: an optax transformation, or an object with two methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from cluster.learners.world_jax import see_that_loss_is_the_races
from submissions.contract import Arrays, JaxSubmission, State, SubmissionError
from workloads.model_jax import JaxModel


class Problem:
    """The training objective as JAX submission objects see it, within one step."""

    def __init__(
        self,
        model: JaxModel,
        rng: jax.Array,
        classes: int | None,
        shared: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._model = model
        self._rng = rng
        self._shared = shared
        self.classes = classes
        self.noted: list[Arrays] = []

    def loss(self, params: Arrays, batch: Arrays, smoothing: float | jax.Array = 0.0) -> jax.Array:
        value, sums = self._taken(params, self._whole(batch), self._rng, smoothing)
        # Where the gradient is not followed, `jax.grad` hands values through to its caller, so
        # that they can be used outside; what is inside of a loop stays there.
        self.noted.append(jax.lax.stop_gradient({"loss": value, **sums}))
        return value

    def _taken(
        self, params: Arrays, batch: Arrays, rng: jax.Array, smoothing: float | jax.Array
    ) -> tuple[jax.Array, Arrays]:
        see_that_loss_is_the_races(params)
        loss = self._model.loss
        # A traced share may be zero or not: only a plain zero leaves the plain loss.
        plain = isinstance(smoothing, int | float) and not smoothing
        if plain or "smoothing" not in inspect.signature(loss).parameters:
            return loss(params, batch, rng)
        return loss(params, batch, rng, smoothing)  # type: ignore[call-arg]

    def value_and_grad(self, params: Arrays, batch: Arrays) -> tuple[jax.Array, Arrays]:
        return jax.value_and_grad(self.loss)(params, batch)

    def losses(self, params: Arrays, batch: Arrays) -> jax.Array:
        see_that_loss_is_the_races(params)

        def one(example: Arrays) -> jax.Array:
            rows = self._whole({name: value[None] for name, value in example.items()})
            return self._model.loss(params, rows, self._rng)[0]

        return jax.vmap(one)(batch)

    def _whole(self, batch: Arrays) -> Arrays:
        """The batch as the model takes it: with what all examples share."""
        return {**self._shared, **batch}

    def measure(self, params: Arrays, batch: Arrays) -> Arrays:
        return self._model.measure(params, self._whole(batch))

    def project(self, params: Arrays) -> Arrays:
        return self._model.project(params)

    def first(self, names: tuple[str, ...]) -> jax.Array:
        """By-products of the first loss, as one vector; NaN where all were taken inside loops.

        Raises:
            SubmissionError: no loss was taken.
        """
        if not self.noted:
            advice = "call `problem.loss` or `problem.value_and_grad` in every step"
            raise SubmissionError(f"`update` returned without computing a loss; {advice}")
        for sums in self.noted:
            if all(_of_one_trace(sums[name], self._rng) for name in names):
                return stacked(sums, names)
        return jnp.full(len(names), jnp.nan, jnp.float32)


Losses = Callable[[Arrays, Arrays, Arrays, jax.Array], jax.Array]
"""The losses of examples by weights, batch, what is shared and key."""


def compiled_losses(model: JaxModel, classes: int | None) -> Losses:
    """`Problem.losses`, compiled once for all steps."""

    def losses(params: Arrays, batch: Arrays, shared: Arrays, rng: jax.Array) -> jax.Array:
        return Problem(model, rng, classes, shared).losses(params, batch)

    return jax.jit(losses)


class SelectionProblem(Problem):
    """The objective as `select_data` sees it, which is not compiled itself."""

    compiled: Losses

    def losses(self, params: Arrays, batch: Arrays) -> jax.Array:
        return self.compiled(params, batch, dict(self._shared), self._rng)


class OpenProblem(Problem):
    """The objective for a submission that compiles its own steps; `names` are the by-products."""

    def __init__(
        self, model: JaxModel, rng: jax.Array, classes: int | None, names: tuple[str, ...]
    ) -> None:
        super().__init__(model, rng, classes)
        self._names = names
        self.by_products = len(names)
        self.vector: jax.Array | None = None

    def objective(
        self, params: Arrays, batch: Arrays, rng: jax.Array, smoothing: float | jax.Array
    ) -> tuple[jax.Array, Arrays]:
        value, sums = self._taken(params, batch, rng, smoothing)
        return value, jax.lax.stop_gradient({"loss": value, **sums})

    def gathered(self, sums: Arrays) -> jax.Array:
        return stacked(sums, self._names)

    def note(self, sums: jax.Array) -> None:
        self.vector = sums.reshape(-1)[-len(self._names) :]


def _of_one_trace(value: jax.Array, outer: jax.Array | None) -> bool:
    # What was made inside of a scan or a vmap must not be used outside, and JAX would say so only
    # when everything is traced. There is no public way to ask.
    return not isinstance(value, jax.core.Tracer) or value._trace is getattr(outer, "_trace", None)


def stacked(sums: Arrays, names: tuple[str, ...]) -> jax.Array:
    """One vector, not a scalar each: every buffer costs a small step its microseconds."""
    return jnp.stack([sums[name].astype(jnp.float32) for name in names])


class TransformationRules:
    """How an optax transformation makes a step."""

    def __init__(self, transformation: optax.GradientTransformation, module: ModuleType) -> None:
        # Line searches, Polyak steps and MoMo ask for the loss; the others ignore it.
        self.transformation = optax.with_extra_args_support(transformation)
        self.eval_params = getattr(module, "eval_params", None)
        self.select_data = getattr(module, "select_data", None)
        self.prepare = None
        self.compiled = True
        # Without `select_data` the harness itself takes the loss of the batch as it was drawn.
        self.measures_draws = self.select_data is None

    def init(self, params: Arrays) -> State:
        return self.transformation.init(params)

    def step(
        self, problem: Problem, params: Arrays, state: State, batch: Arrays
    ) -> tuple[Arrays, State]:
        value, gradients = problem.value_and_grad(params, batch)
        # A copy, so that losses along a line are not the step's.
        silent = Problem(problem._model, problem._rng, problem.classes, problem._shared)
        updates, state = self.transformation.update(
            gradients,
            state,
            params,
            value=value,
            grad=gradients,
            value_fn=lambda other: silent.loss(other, batch),
        )
        return optax.apply_updates(params, updates), state


_PARTS = 2


class ObjectRules:
    """How an object with `init` and `update` makes a step."""

    measures_draws = False

    def __init__(self, submission: JaxSubmission) -> None:
        self.submission = submission
        self.eval_params = getattr(submission, "eval_params", None)
        self.select_data = getattr(submission, "select_data", None)
        self.prepare = getattr(submission, "prepare", None)
        self.compiled = bool(getattr(submission, "compiled", True))

    def init(self, params: Arrays) -> State:
        return self.submission.init(params)

    def step(
        self, problem: Problem, params: Arrays, state: State, batch: Arrays
    ) -> tuple[Arrays, State]:
        returned = self.submission.update(params, state, batch, problem)
        if not isinstance(returned, tuple) or len(returned) != _PARTS:
            what = f"`update` returned a {type(returned).__name__}"
            raise SubmissionError(f"{what}; return the new ones: `return params, state`")
        return returned


Rules = TransformationRules | ObjectRules


def make_rules(product: object, module: ModuleType) -> Rules:
    """The rules of what `submission` returned; `submissions.load.build` has looked at it."""
    if isinstance(product, optax.MultiSteps):
        product = product.gradient_transformation()
    if isinstance(product, optax.GradientTransformation):
        return TransformationRules(product, module)
    return ObjectRules(cast(JaxSubmission, product))


def implied_eval_params(state: State, params: Arrays) -> Callable[[Arrays, State], Arrays] | None:
    """The average that a schedule-free transformation means to be judged by.

    Without this, who forgets `eval_params` would be judged at the iterate of the gradients.
    """
    is_free = _is_schedule_free
    if sum(map(is_free, jax.tree.leaves(state, is_leaf=is_free))) != 1:
        return None

    def eval_params(params: Arrays, state: State) -> Arrays:
        (free,) = filter(is_free, jax.tree.leaves(state, is_leaf=is_free))
        return optax.contrib.schedule_free_eval_params(free, params)

    (free,) = filter(is_free, jax.tree.leaves(state, is_leaf=is_free))
    whole: bool = jax.tree.structure(free.z) == jax.tree.structure(params)  # type: ignore[operator]
    return eval_params if whole else None


def _is_schedule_free(node: object) -> bool:
    return isinstance(node, optax.contrib.ScheduleFreeState)
