"""What a submission is: a training algorithm in one file or folder, with nothing of ours to import.

A submission defines `submission(**hyperparameters)` and, when it can be tuned, a literal
`SEARCH_SPACE`. Two argument names are reserved and handed in when asked for: `params` (torch
parameters; its presence makes the file a torch submission, its absence a JAX one) and `workload`
(a `Card`). It returns one of

- a `torch.optim.Optimizer`, or any list or tuple of optimizers and lr_schedulers, nested or not;
- an optax `GradientTransformation` (or `optax.MultiSteps`);
- when it decides more, an object with the methods of `TorchSubmission` or `JaxSubmission`.

A step with torch optimizers: one batch is drawn, its loss taken, all gradients set to None, the
loss followed back, every optimizer stepped in the order of the tuple, then every scheduler. The
signature of an optimizer's `step` says what it wants besides:

- a required `closure` (LBFGS): it gets one that takes loss and gradients of the step's batch
  anew. `CLOSURE = True` at the top level of the file gives one to every optimizer, also where
  `closure` has a default (MoMo, some sharpness-aware ones); `CLOSURE = False` to none;
- a `loss` (MoMo, Polyak steps): it gets the loss;
- methods `first_step` and `second_step` (sharpness-aware ones, SAM): both are called, with new
  gradients between them.

A scheduler whose `step` has a required argument (`ReduceLROnPlateau`) gets the training loss of
the step. `train()` and `eval()` of an optimizer that has them (schedule-free ones, averages) are
called round each evaluation.

Beside `submission` may stand, in both frameworks, two functions with the meaning that they have
as methods of a submission object: `eval_params` and `select_data`. Their `state` is the
optimizer's: in JAX the transformation's state, in torch a dict of `optimizer.state[parameter]` by
the parameter's name, to be changed in place. Schedule-free optax transformations are judged by
their average without it.

Gradients are clipped with a hook in torch, `optimizer.register_step_pre_hook(clip)` where
`def clip(*_): torch.nn.utils.clip_grad_norm_(params, 1.0)`, and in JAX with
`optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(lr))`.

Whatever of this runs, runs on the clock. Weights that are judged must be the workload's by name,
shape and dtype.
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
"""What an algorithm remembers: whatever it likes, as far as a checkpoint can keep it."""

RESERVED = ("params", "workload")


class SubmissionError(UserError):
    """A submission that cannot race: one line that says what is wrong, where, and what to do."""


class TrainingComplete(Exception):  # noqa: N818 - no error
    """A submission's `update` says that it has trained enough: one last evaluation, and the end."""


@dataclasses.dataclass(frozen=True)
class Card:
    """What a submission may know of the workload: never its name, never validation data.

    Attributes:
        step_hint: the horizon for schedules, in steps: a trial may go on after it.
        batch_size: examples a step; the workload's, not the submission's, choice.
        max_steps: after how many steps a trial ends at the latest.
        seconds: the limit on the clock.
        shapes: every parameter's shape; a matrix is (out, in) in both frameworks.
        roles: every parameter's role; like `shapes` a plain dict, which `jax.tree` and
            `optax.multi_transform` take as it is. Changing it changes nothing elsewhere.
        seed: for a submission's own randomness.
        supervised: whether its batches are labelled examples; not so in reinforcement learning.
        examples: shape and dtype of one example by the fields of a batch, for who keeps some of
            them: a batch has `batch_size` along a further first axis.
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
    """The torch parameters: a plain list for any optimizer, with their names and roles beside it.

    Iterating gives the tensors; `named` gives name to tensor; `of(*roles)` those of some roles,
    for parameter groups.
    """

    def __init__(self, named: Mapping[str, torch.Tensor], roles: Mapping[str, Role]) -> None:
        super().__init__(named.values())
        self.named: dict[str, torch.Tensor] = dict(named)
        self.roles: dict[str, Role] = dict(roles)

    def of(self, *roles: Role) -> list[torch.Tensor]:
        """The tensors whose role is among `roles`; none where the model has none of it.

        Raises:
            SubmissionError: there is no such role: one line.
        """
        for role in roles:
            if role not in get_args(Role):
                what = f"`params.of({role!r})`: there is no such role"
                raise SubmissionError(what + nearest(str(role), get_args(Role)))
        return [tensor for name, tensor in self.named.items() if self.roles[name] in roles]


class Problem(Protocol[Array]):
    """The training objective as a submission object sees it; every call is on the clock.

    `params` is a flat dict of tensors or arrays by name. Batches are those of the training stream
    (a dict of tensors or arrays whose first axis counts examples) or anything cut and joined from
    them. The first `loss` or `value_and_grad` that an `update` takes, of whatever batch, gives the
    step's line in the record (`train/loss`); an `update` that takes none is an error.

    Attributes:
        classes: how many classes the model tells apart; None where there are none.
    """

    classes: int | None

    def loss(
        self, params: dict[str, Array], batch: dict[str, Array], smoothing: float = 0.0
    ) -> Array:
        """Mean loss, 0-d and differentiable in `params`.

        `smoothing` is the share of each label that is given to all classes alike, for losses that
        are a cross-entropy of labels; the others are as they are.
        """

    def value_and_grad(
        self, params: dict[str, Array], batch: dict[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """Mean loss and its gradient by name, zero for those that it does not depend on."""

    def losses(self, params: dict[str, Array], batch: dict[str, Array]) -> Array:
        """The loss of each example alone, (examples,), in one call; differentiable."""

    def measure(self, params: dict[str, Array], batch: dict[str, Array]) -> dict[str, Array]:
        """What the workload counts on a batch, as sums: `count` and `loss`.

        Perhaps also `correct`, and `predicted`: how often the model names each class.
        """

    def project(self, params: dict[str, Array]) -> dict[str, Array]:
        """These weights brought back to where the workload keeps its own; new ones.

        The live weights are brought back after each step without being asked; this is for
        iterates that a method keeps beside them.
        """


class OpenProblem(Problem[Array], Protocol[Array]):
    """The objective for a JAX submission that compiles its own steps (`compiled = False`).

    Its `update` is called with arrays and not traced, and may keep Python values in its state.

    Attributes:
        by_products: how many numbers `gathered` gives.
    """

    by_products: int

    def objective(
        self, params: Arrays, batch: Arrays, rng: jax.Array, smoothing: float | jax.Array
    ) -> tuple[jax.Array, Arrays]:
        """(mean loss, by-products): a pure function, for use inside what is compiled."""

    def gathered(self, sums: Arrays) -> jax.Array:
        """By-products as one vector."""

    def note(self, sums: jax.Array) -> None:
        """Tell, outside of what is compiled, the step's vector of by-products."""


class TorchSubmission(Protocol):
    """A torch training algorithm. `eval_params`, `prepare` and `select_data` are optional.

    `params` is a dict of the live parameters by name, changed in place. `state` is all that the
    algorithm remembers, since it is what a checkpoint keeps: any nesting of dicts, lists, tuples,
    sets and deques of tensors and plain values, and objects with `state_dict` and
    `load_state_dict` that `init` makes. What cannot be kept is told once in the record, and a
    trial that is killed starts anew.
    """

    def init(self, params: Tensors) -> State:
        """The initial state. The clock is already running."""

    def update(
        self, params: Tensors, state: State, batch: Tensors, problem: Problem[torch.Tensor]
    ) -> State:
        """Train on one batch, changing `params` in place (under `no_grad`); the new state."""

    def eval_params(self, params: Tensors, state: State) -> Tensors:
        """The weights to evaluate (averaged ones, say), on the clock; default `params`."""

    def prepare(self, params: Tensors, state: State) -> State:
        """In the place of `eval_params`: change the weights themselves; the new state.

        Training goes on from the weights that are evaluated.
        """

    def select_data(
        self, params: Tensors, state: State, draw: Iterator[Tensors], problem: Problem[torch.Tensor]
    ) -> tuple[Tensors, State]:
        """(batch, state): the batch to train on, out of as many drawn as it likes."""


class JaxSubmission(Protocol):
    """A JAX training algorithm: pure functions, compiled by the harness.

    `state` is a pytree of arrays. `eval_params`, `prepare` and `select_data` are optional, as in
    torch; the last two are not compiled by the harness, but for the `losses` of the problem that
    `select_data` is given. One that has `compiled = False` compiles
    its steps itself, and gets an `OpenProblem`.
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
        """(params, state), in the place of `eval_params`: training goes on from these weights."""

    def select_data(
        self, params: Arrays, state: State, draw: Iterator[Arrays], problem: Problem[jax.Array]
    ) -> tuple[Arrays, State]:
        """(batch, state)."""
