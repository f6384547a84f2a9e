"""The submission contract: a training algorithm in one file or folder, needing no import of ours.

A submission defines `submission(**hyperparameters)` and, if it can be tuned, a literal
`SEARCH_SPACE`. Two argument names are reserved and passed in if present: `params` (torch
parameters; its presence makes the file a torch submission, its absence a JAX one) and `workload`
(a `Card`). It returns one of

- a `torch.optim.Optimizer`, or a (nested) list or tuple of optimizers and lr_schedulers;
- an optax `GradientTransformation` (or `optax.MultiSteps`);
- for more control, an object with the methods of `TorchSubmission` or `JaxSubmission`.

A step with torch optimizers draws one batch, computes its loss, sets all gradients to None,
backpropagates, and steps every optimizer in the order of the tuple, then every scheduler. The
signature of an optimizer's `step` determines what else it gets:

- a required `closure` (LBFGS): it gets one that recomputes loss and gradients of the step's
  batch. `CLOSURE = True` at the top level of the file gives one to every optimizer, even if
  `closure` has a default (MoMo, some sharpness-aware ones); `CLOSURE = False` gives it to none;
- a `loss` (MoMo, Polyak steps): it gets the loss;
- methods `first_step` and `second_step` (sharpness-aware ones, SAM): both are called, with
  fresh gradients in between.

A scheduler whose `step` has a required argument (`ReduceLROnPlateau`) gets the step's training
loss. An optimizer's `train()` and `eval()`, if it has them (schedule-free ones, averages), are
called around each evaluation.

In both frameworks, the file may also define the functions `eval_params` and `select_data`, with
the same meaning as the methods of a submission object. Their `state` is the optimizer's: in JAX
the transformation's state, in torch a dict from parameter name to `optimizer.state[parameter]`,
to be changed in place. Schedule-free optax transformations are judged by their average without
`eval_params`.

To clip gradients, use a hook in torch, `optimizer.register_step_pre_hook(clip)` where
`def clip(*_): torch.nn.utils.clip_grad_norm_(params, 1.0)`, and in JAX with
`optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(lr))`.

All of this runs on the clock. The weights to evaluate must match the workload's names, shapes
and dtypes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args

from scoring.ground.errors import UserError, nearest
from scoring.ground.words import Role

if TYPE_CHECKING:
    import jax
    import torch

Array = TypeVar("Array")
"""A `torch.Tensor` or a `jax.Array`."""
Tensors = dict[str, "torch.Tensor"]
Arrays = dict[str, "jax.Array"]
State = Any
"""What an algorithm remembers: anything that a checkpoint can save."""

RESERVED = ("params", "workload")


class SubmissionError(UserError):
    """A submission that cannot race, in one line: what is wrong, where, and what to do."""


class TrainingComplete(Exception):  # noqa: N818 - no error
    """Raised by a submission's `update` to stop: one last evaluation, then the trial ends."""


@dataclasses.dataclass(frozen=True)
class Card:
    """What a submission may know about the workload: never its name or validation data.

    Attributes:
        step_hint: the horizon for schedules, in steps; a trial may continue past it.
        batch_size: examples per step; set by the workload, not the submission.
        max_steps: the most steps that a trial may take.
        seconds: the time limit on the clock.
        shapes: every parameter's shape; a matrix is (out, in) in both frameworks.
        roles: every parameter's role; like `shapes`, a plain dict that `jax.tree` and
            `optax.multi_transform` accept as is. Changing it has no effect elsewhere.
        seed: for the submission's own randomness.
        supervised: whether batches are labelled examples; False in reinforcement learning.
        examples: shape and dtype of one example, by field of a batch, for submissions that
            store examples; a batch adds a first axis of length `batch_size`.
    """

    step_hint: int
    batch_size: int
    max_steps: int
    seconds: float
    shapes: dict[str, tuple[int, ...]]
    roles: dict[str, Role]
    seed: int
    supervised: bool = True
    examples: dict[str, tuple[tuple[int, ...], str]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", dict(self.shapes))
        object.__setattr__(self, "roles", dict(self.roles))
        object.__setattr__(self, "examples", dict(self.examples))

    if not TYPE_CHECKING:  # which knows the names

        def __getattr__(self, name: str) -> object:
            known = ", ".join(field.name for field in dataclasses.fields(type(self)))
            raise AttributeError(f"`workload` has no `{name}`; it has {known}")


class Parameters(list["torch.Tensor"]):
    """The torch parameters: a plain list for any optimizer, plus their names and roles.

    Iterating yields the tensors; `named` maps names to tensors; `of(*roles)` returns those with
    certain roles, for parameter groups.
    """

    def __init__(self, named: Mapping[str, torch.Tensor], roles: Mapping[str, Role]) -> None:
        super().__init__(named.values())
        self.named: dict[str, torch.Tensor] = dict(named)
        self.roles: dict[str, Role] = dict(roles)

    def of(self, *roles: Role) -> list[torch.Tensor]:
        """The tensors whose role is in `roles`; empty if the model has none.

        Raises:
            SubmissionError: unknown role.
        """
        for role in roles:
            if role not in get_args(Role):
                what = f"`params.of({role!r})`: unknown role"
                raise SubmissionError(what + nearest(str(role), get_args(Role)))
        return [tensor for name, tensor in self.named.items() if self.roles[name] in roles]


class Problem(Protocol[Array]):
    """The training objective as a submission object sees it; every call is timed.

    `params` is a flat dict of tensors or arrays by name. Batches are those of the training stream
    (a dict of tensors or arrays whose first axis counts examples) or slices and concatenations of
    them. The first `loss` or `value_and_grad` that an `update` calls, on whatever batch, is
    recorded as the step's `train/loss`; an `update` that calls neither is an error.

    Attributes:
        classes: number of classes the model distinguishes; None if there are none.
    """

    classes: int | None

    def loss(
        self, params: dict[str, Array], batch: dict[str, Array], smoothing: float = 0.0
    ) -> Array:
        """Mean loss, 0-d and differentiable in `params`.

        `smoothing` is the share of each label that is spread evenly over all classes, if the loss
        is a cross-entropy of labels; other losses ignore it.
        """

    def value_and_grad(
        self, params: dict[str, Array], batch: dict[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """Mean loss and its gradient by name, zero for parameters it does not depend on."""

    def losses(self, params: dict[str, Array], batch: dict[str, Array]) -> Array:
        """The loss of each example, (examples,), in one call; differentiable."""

    def measure(self, params: dict[str, Array], batch: dict[str, Array]) -> dict[str, Array]:
        """The workload's sums over a batch: `count` and `loss`.

        Some also have `correct`, and `predicted`: how often the model predicts each class.
        """

    def project(self, params: dict[str, Array]) -> dict[str, Array]:
        """A copy of these weights, projected as the workload projects its own.

        The live weights are projected automatically after each step; this is for further
        iterates that a method keeps.
        """


class OpenProblem(Problem[Array], Protocol[Array]):
    """The objective for a JAX submission that compiles its own steps (`compiled = False`).

    Its `update` is called with arrays, untraced, and may keep Python values in its state.

    Attributes:
        by_products: the length of the vector that `gathered` returns.
    """

    by_products: int

    def objective(
        self, params: Arrays, batch: Arrays, rng: jax.Array, smoothing: float | jax.Array
    ) -> tuple[jax.Array, Arrays]:
        """(mean loss, by-products): a pure function, for use in compiled code."""

    def gathered(self, sums: Arrays) -> jax.Array:
        """By-products as one vector."""

    def note(self, sums: jax.Array) -> None:
        """Report the step's vector of by-products, outside compiled code."""


class TorchSubmission(Protocol):
    """A torch training algorithm. `eval_params`, `prepare` and `select_data` are optional.

    `params` is a dict of the live parameters by name, changed in place. `state` must hold all that
    the algorithm remembers, since a checkpoint saves nothing else: any nesting of dicts, lists,
    tuples, sets and deques of tensors and plain values, and objects with `state_dict` and
    `load_state_dict` that `init` makes. If some of it cannot be saved, the record notes that once,
    and a killed trial starts over.
    """

    def init(self, params: Tensors) -> State:
        """The initial state. The clock is already running."""

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """Train on one batch, changing `params` in place (under `no_grad`); return the state."""

    def eval_params(self, params: Tensors, state: State) -> Tensors:
        """The weights to evaluate (averaged ones, say), on the clock; default `params`."""

    def prepare(self, params: Tensors, state: State) -> State:
        """Instead of `eval_params`: change the weights themselves; return the new state.

        Training continues from the evaluated weights.
        """

    def select_data(
        self, params: Tensors, state: State, draw: Iterator[Tensors], problem: Problem[torch.Tensor]
    ) -> tuple[Tensors, State]:
        """(batch, state): the batch to train on, chosen from any number of drawn batches."""


class JaxSubmission(Protocol):
    """A JAX training algorithm: pure functions, compiled by the harness.

    `state` is a pytree of arrays. `eval_params`, `prepare` and `select_data` are optional, as in
    torch; the harness does not compile the last two, except for the `losses` of the problem given
    to `select_data`. A submission with `compiled = False` compiles its own steps and gets an
    `OpenProblem`.
    """

    def init(self, params: Arrays) -> State:
        """The initial state. The clock is already running."""

    def update(
        self, params: Arrays, state: State, batch: Arrays, problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """(params, state) after training on one batch; traced once by `jax.jit`."""

    def eval_params(self, params: Arrays, state: State) -> Arrays:
        """The weights to evaluate; default `params`."""

    def prepare(self, params: Arrays, state: State) -> tuple[Arrays, State]:
        """(params, state), instead of `eval_params`: training continues from these weights."""

    def select_data(
        self, params: Arrays, state: State, draw: Iterator[Arrays], problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """(batch, state)."""
