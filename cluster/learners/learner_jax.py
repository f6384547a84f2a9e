"""The JAX learner: how an optax transformation or a JAX submission trains a workload's model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import block_until_ready as _wait  # bound before any submission runs

import cluster.learners.compiled_jax  # noqa: F401 - counts from the first compilation on
from cluster.checkpoint import StateError
from cluster.learners.contract import (
    DeviceError,
    Draw,
    Entry,
    Taken,
    plain_weights,
    refuse_other_form,
    refuse_other_kind,
    warm_up_policy,
)
from cluster.learners.rules_jax import (
    OpenProblem,
    Problem,
    Rules,
    SelectionProblem,
    compiled_losses,
    implied_eval_params,
    make_rules,
    stacked,
)
from cluster.learners.team_jax import Function, JaxTeam, here
from scoring.ground.words import StateDict
from submissions.contract import Arrays, State, SubmissionError
from workloads.contract import Array, Batch, Judged, Weights

Tree = TypeVar("Tree")
_Fed = tuple[Arrays, Arrays]  # a batch, and what all examples share
_Trained = tuple[Arrays, State, jax.Array, jax.Array | None, jax.Array]
_Step = Callable[..., _Trained]


class JaxLearner:
    """See `cluster.learners.contract.Learner`."""

    def __init__(
        self, entry: Entry, batches: Sequence[Batch], observations: Sequence[Array] = ()
    ) -> None:
        self._entry = entry
        self._model = entry.workload.jax_model()
        gpus = entry.resources.gpus
        self._team = JaxTeam(entry.rank, gpus) if entry.rank else None
        if gpus and jax.default_backend() == "cpu":
            raise DeviceError(
                f"a trial needs {gpus} accelerator(s) but JAX {jax.__version__} finds none: "
                "pip install 'jax[cuda13]', or set `gpus: 0`"
            )
        self._key = jax.random.key(entry.seed)
        self._arrays = type(jnp.zeros(())), type(self._key)
        self._measure = jax.jit(self._model.measure)
        self._predict = jax.jit(self._model.predict)
        self._inspect = jax.jit(self._look_inside)
        self._losses = compiled_losses(self._model, entry.workload.classes)
        self._act = jax.jit(getattr(self._model, "act", None) or _no_act)
        self._prequential = entry.workload.prequential
        self._tally: Callable[..., jax.Array] = self._compile(self._add_measure, donated=(1,))
        shapes = jax.eval_shape(self._model.loss, self._initial(), batches[0], jax.random.key(0))
        self._names = ("loss", *(name for name in sorted(shapes[1]) if name != "loss"))
        self._kept: Arrays | None = None
        self._ready: Arrays | None = None
        self._judged: Mapping[str, Array | jax.Array] | None = None
        # Compiled as they were built first: what is built again for the race is the same algorithm.
        rules = make_rules(entry.build(None), entry.module)
        self._refuse_on_ranks(rules)
        # One that compiles its own steps gets whole batches: what it compiled would hold for ever
        # what was shared in the warm-up.
        self._sharing = entry.workload.shared if rules.compiled else ()
        self._shared: Batch = {}
        self._train = self._compile_step(rules) if rules.compiled else self._open_step()
        self.begin()
        eval_params = rules.eval_params
        if rules.compiled and not eval_params:
            eval_params = implied_eval_params(self._state, self._params)
        self._eval_params = self._compile(eval_params) if eval_params else None
        self._warm_up(batches, observations)
        self._ready = self._initial()  # for `begin`, which is on the clock

    def _compile(self, function: Function, donated: tuple[int, ...] = ()) -> Function:
        """For this device, or for all ranks."""
        if self._team:
            return self._team.compile(function, donated)
        return cast(Function, jax.jit(function, donate_argnums=donated))

    def _refuse_on_ranks(self, rules: Rules) -> None:
        if self._team and (rules.select_data or not rules.compiled):
            what = "selects its data" if rules.select_data else "compiles its own steps"
            raise SubmissionError(
                f"it {what}, which JAX submissions cannot do on several ranks; set ranks: 1"
            )

    def _compile_step(self, rules: Rules) -> _Step:
        model, key, classes = self._model, self._key, self._entry.workload.classes
        of_draws = self._prequential if rules.measures_draws else ()

        def train(
            params: Arrays,
            state: State,
            sums: jax.Array,
            drawn: jax.Array,
            steps: jax.Array,
            fed: _Fed,
        ) -> _Trained:
            batch, shared = fed
            problem = Problem(model, jax.random.fold_in(key, steps), classes, shared)
            params, state = rules.step(problem, params, state, batch)
            sums = sums + problem.first(self._names)
            if of_draws:
                drawn = drawn + problem.first(of_draws)
            return model.project(params), state, sums, drawn, steps + 1

        return self._compile(train, donated=(0, 1, 2, 3, 4))

    def _open_step(self) -> _Step:
        """A step of a submission that compiles itself."""
        model, key, names = self._model, self._key, self._names
        classes = self._entry.workload.classes

        @functools.partial(jax.jit, donate_argnums=(0, 2))
        def add(sums: jax.Array, noted: jax.Array, steps: jax.Array) -> tuple[jax.Array, jax.Array]:
            return sums + noted, steps + 1

        nothing = jnp.full(len(names), jnp.nan, jnp.float32)

        def train(
            params: Arrays,
            state: State,
            sums: jax.Array,
            drawn: jax.Array,
            steps: jax.Array,
            fed: _Fed,
        ) -> _Trained:
            problem = OpenProblem(model, key, classes, names)
            params, state = self._rules.step(problem, params, state, fed[0])
            _refuse_other_than_arrays(params, self._arrays)
            noted = nothing if problem.vector is None else problem.vector
            sums, steps = add(sums, noted, steps)
            return model.project(params), state, sums, drawn, steps

        return train

    def _add_measure(self, params: Arrays, drawn: jax.Array, batch: Arrays) -> jax.Array:
        return drawn + stacked(self._model.measure(params, batch), self._prequential)

    def _warm_up(self, batches: Sequence[Batch], observations: Sequence[Array]) -> None:
        warm_up_policy(self, observations)
        ready = iter(batches)
        for _ in batches:
            self.step(lambda: next(ready, batches[0]))
        # Asked again at weights that came out of a step, which may be another kind of array.
        warm_up_policy(self, observations)
        self.prepare_evaluation()

    @property
    def draws(self) -> int:
        return self._draws

    def begin(self) -> None:
        self._rules = make_rules(self._entry.build(None), self._entry.module)
        self._params, self._ready = self._ready or self._initial(), None
        state = self._rules.init(self._params)
        if self._rules.compiled:
            _check_state(state)
            # Copied: some states hold the very arrays of the weights, and both are donated. Python
            # numbers would be weakly typed, and a checkpoint cannot give that back.
            state = jax.tree.map(
                lambda leaf: (
                    leaf.copy() if isinstance(leaf, jax.Array) else jnp.array(np.asarray(leaf))
                ),
                state,
            )
        self._state = self._placed(state)
        self._params = self._placed(self._params)
        self._form: jax.tree_util.PyTreeDef = jax.tree.structure(state)
        self._apart: tuple[list[State], bool] | None = None
        self._sums, self._drawn = self._zeros()
        self._draws = 0
        self._steps = self._placed(jnp.zeros((), jnp.int32))
        self._judged = self._kept = None

    def _placed(self, tree: Tree) -> Tree:
        """Arrays as a step takes them: on every rank, where there are several."""
        return self._team.whole(tree) if self._team else tree

    def _zeros(self) -> tuple[jax.Array, jax.Array | None]:
        sums, count = jnp.zeros(len(self._names), jnp.float32), len(self._prequential)
        return self._placed((sums, jnp.zeros(count, jnp.float32) if count else None))

    def step(self, draw: Draw) -> None:
        self._apart = None
        if self._rules.select_data is None:
            batch = self._draw(draw)
        else:
            batch, self._state = self._rules.select_data(
                self._params, self._state, self._drawn_batches(draw), self._problem()
            )
        fed = (batch, self._placed(self._shared))
        self._params, self._state, self._sums, self._drawn, self._steps = self._train(
            self._params, self._state, self._sums, self._drawn, self._steps, fed
        )

    def _problem(self) -> Problem:
        """The objective as `select_data` sees it."""
        classes = self._entry.workload.classes
        if not self._rules.compiled:
            return OpenProblem(self._model, self._key, classes, self._names)
        key = jax.random.fold_in(self._key, self._steps)
        problem = SelectionProblem(self._model, key, classes, self._shared)
        problem.compiled = self._losses
        return problem

    def _draw(self, draw: Draw) -> Batch:
        """The stream's next batch, measured before the submission sees it where that counts."""
        batch = self._team.batch(draw()) if self._team else draw()
        self._draws += 1
        if self._prequential and not self._rules.measures_draws:
            self._drawn = self._tally(self._params, self._drawn, batch)
        if self._sharing:
            self._shared.update({name: batch[name] for name in self._sharing})
            return {name: value for name, value in batch.items() if name not in self._sharing}
        return batch

    def _drawn_batches(self, draw: Draw) -> Iterator[Batch]:
        while True:
            yield self._draw(draw)

    def synchronize(self) -> None:
        leaves = [leaf for leaf in self._leaves()[0] if type(leaf) in self._arrays]
        _wait((self._params, leaves, self._sums, self._drawn, self._judged))

    def _leaves(self) -> tuple[list[State], bool]:
        """The state's leaves, and whether its form is as at the start.

        Nodes of a class of the submission's own are taken apart by its code. That is done once
        after a step, by the barrier before the clock stops: what comes after finds the leaves.
        """
        if self._apart is None:
            leaves, form = jax.tree.flatten(self._state)
            self._apart = leaves, form == self._form
        return self._apart

    def prepare_evaluation(self) -> None:
        self._apart = None
        if self._rules.prepare is not None:
            self._params, self._state = self._rules.prepare(self._params, self._state)
        judged = self._params
        if self._eval_params is not None:
            judged = self._eval_params(self._params, self._state)
        weights = plain_weights(judged, self._entry.weights)
        for name, spec in self._entry.workload.parameters().items():
            for value in (weights[name], self._params[name]):
                if not isinstance(value, jax.Array) and type(value) is not np.ndarray:
                    refuse_other_kind(name, value)
            form = (tuple(weights[name].shape), str(weights[name].dtype))
            refuse_other_form(name, form, (tuple(spec.shape), "float32"))
        self._judged = weights

    def judged(self) -> Judged:
        params = here(self._judged)
        return Judged(
            lambda batch: jax.device_get(self._measure(params, batch)),
            lambda batch: jax.device_get(self._predict(params, batch)),
            lambda: jax.device_get(params),
            lambda batch: jax.device_get(self._inspect(params, batch)),
        )

    def _look_inside(self, params: Arrays, batch: Arrays) -> Arrays:
        """What diagnostics look at; nothing of the training is touched."""
        seen = self._model.inspect(params, batch)
        if not self._entry.workload.supervised:
            return seen
        gradients = jax.grad(self._model.loss, has_aux=True)(params, batch, jax.random.key(0))[0]
        squares = [jnp.square(one).sum() for one in gradients.values()]
        return seen | {"gradient_norm": jnp.sqrt(jnp.stack(squares).sum())}

    def finite(self) -> bool:
        weights = jax.device_get(self._judged)
        return all(bool(np.isfinite(value).all()) for value in weights.values())

    def act(self, observations: Array) -> Array:
        return np.asarray(self._act(here(self._params), observations))

    def keep(self) -> None:
        # Copied: the next step donates the weights.
        self._kept = {name: value.copy() for name, value in here(self._params).items()}

    def act_as_kept(self, observations: Array) -> Array:
        return np.asarray(self._act(self._kept, observations))

    def resume_training(self) -> None:
        self._judged = None  # the step donates the weights: no second name for them may live

    def drain(self) -> Taken:
        sums, draws = np.asarray(self._sums), self._draws
        drawn = np.asarray(self._drawn) if self._prequential else ()
        self._sums, self._drawn = self._zeros()
        self._draws = 0
        return Taken(
            dict(zip(self._names, map(float, sums), strict=True)),
            dict(zip(self._prequential, map(float, drawn), strict=True)),
            draws,
        )

    def weights(self) -> Weights:
        return jax.device_get(self._params)

    def state(self) -> StateDict:
        leaves, alike = self._leaves()
        if not alike:
            raise StateError("the structure of its state has changed since the start")
        _check_state(leaves := [leaf for leaf in leaves if not callable(leaf)])
        leaves = [_to_numpy(here(leaf)) for leaf in leaves]
        return {
            "weights": jax.device_get(self._params),
            "algorithm": leaves,
            "steps": np.asarray(self._steps),
            "kept": jax.device_get(self._kept),
            "shared": self._shared,
        }

    def load_state(self, state: StateDict) -> None:
        leaves, structure = jax.tree.flatten(self._state)
        saved = iter(state["algorithm"])
        restored = [leaf if callable(leaf) else _from_numpy(next(saved), leaf) for leaf in leaves]
        self._state = self._placed(jax.tree.unflatten(structure, restored))
        self._apart = None
        self._params = self._placed(_copied(state["weights"]))
        self._steps = self._placed(jnp.array(state["steps"]))
        self._shared.update(state.get("shared", {}))
        self._kept = None if state["kept"] is None else _copied(state["kept"])

    def _initial(self) -> Arrays:
        return _copied(self._entry.weights)


def _no_act(params: Arrays, observations: jax.Array) -> jax.Array:
    raise NotImplementedError("this workload's model has no `act`: its stream must not ask")


def _check_state(state: State) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | bool):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            what = f"state/{name} is a {type(leaf).__qualname__}"
            raise StateError(f"{what}, which a checkpoint cannot save; use arrays and numbers")


def _refuse_other_than_arrays(params: object, arrays: tuple[type, ...]) -> None:
    """Weights of another class would be waited for by its code, at every barrier."""
    for value in params.values() if type(params) is dict else [params]:
        if type(value) not in (*arrays, np.ndarray):
            what = f"`update` returned a {type(value).__qualname__} instead of weights"
            raise SubmissionError(f"{what}; return a dict of JAX arrays by name")


def _copied(arrays: Weights) -> Arrays:
    # `device_put` may alias numpy memory, and the step donates its arguments: copy.
    return {name: jnp.array(value) for name, value in arrays.items()}


def _to_numpy(leaf: jax.typing.ArrayLike) -> Array:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf)


def _from_numpy(saved: Array, like: State) -> State:
    if isinstance(like, np.ndarray):
        return saved.copy(order="K")  # of JAX's, float64 would be float32
    if not isinstance(like, jax.Array):
        return type(like)(saved)
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.array(saved), impl=jax.random.key_impl(like))
    return jnp.array(saved)
