"""What a submission is: a training algorithm in one file, with nothing of ours to import.

A submission file defines `submission(**hyperparameters)` and, when it can be tuned, a literal
`SEARCH_SPACE`. Two argument names are reserved and handed in when asked for: `params` (torch
parameters; its presence makes the file a torch submission, its absence a JAX one) and `workload`
(a `Card`). It returns one of

- a `torch.optim.Optimizer`, or a pair (optimizer, lr_scheduler);
- an optax `GradientTransformation`;
- when it decides more, an object with the methods of `TorchSubmission` or `JaxSubmission`.

A file that returns an optimizer or a transformation may define two more functions beside it,
with the meaning they have as methods of a submission object: `eval_params` and `select_data`
(JAX only; torch optimizers average by having `train()` and `eval()`, as schedule-free ones do).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from scoring.ground.errors import UserError
from scoring.ground.words import Role

RESERVED = ("params", "workload")


class SubmissionError(UserError):
    """A submission that cannot race: one line that says what is wrong, where, and what to do."""


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
    """

    step_hint: int
    batch_size: int
    max_steps: int
    seconds: float
    shapes: dict[str, tuple[int, ...]]
    roles: dict[str, Role]
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", dict(self.shapes))
        object.__setattr__(self, "roles", dict(self.roles))


class Parameters(list[Any]):
    """The torch parameters: a plain list for any optimizer, with their names and roles beside it.

    Iterating gives the tensors; `named` gives name to tensor; `of(*roles)` those of some roles,
    for parameter groups.
    """

    def __init__(self, named: Mapping[str, Any], roles: Mapping[str, Role]) -> None:
        super().__init__(named.values())
        self.named: dict[str, Any] = dict(named)
        self.roles: dict[str, Role] = dict(roles)

    def of(self, *roles: Role) -> list[Any]:
        """The tensors whose role is among `roles`."""
        return [tensor for name, tensor in self.named.items() if self.roles[name] in roles]


class Problem(Protocol):
    """The training objective as a submission object sees it; every call is on the clock.

    `params` is a flat dict of tensors or arrays by name. Batches are those of the training stream
    (a dict of tensors or arrays whose first axis counts examples) or anything cut and joined from
    them.
    """

    def loss(self, params: Any, batch: Any) -> Any:
        """Mean loss, 0-d and differentiable in `params`."""

    def value_and_grad(self, params: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
        """Mean loss and its gradient by parameter name."""

    def measure(self, params: Any, batch: Any) -> dict[str, Any]:
        """What the workload counts on a batch, as sums: `count`, `loss`, perhaps `correct`."""


class TorchSubmission(Protocol):
    """A torch training algorithm. `eval_params` and `select_data` are optional.

    `params` is a dict of the live parameters by name, changed in place. `state` is any nesting of
    dicts, lists and tuples of tensors and plain values: all that the algorithm remembers, since
    it is what a checkpoint keeps.
    """

    def init(self, params: dict[str, Any]) -> Any:
        """The initial state. The clock is already running."""

    def update(self, params: dict[str, Any], state: Any, batch: Any, problem: Problem) -> Any:
        """Train on one batch, changing `params` in place (under `no_grad`); the new state."""

    def eval_params(self, params: dict[str, Any], state: Any) -> dict[str, Any]:
        """The weights to evaluate (averaged ones, say), on the clock; default `params`."""

    def select_data(
        self, params: dict[str, Any], state: Any, draw: Iterator[Any], problem: Problem
    ) -> tuple[Any, Any]:
        """(batch, state): the batch to train on, out of as many drawn as it likes."""


class JaxSubmission(Protocol):
    """A JAX training algorithm: pure functions, compiled by the harness.

    `state` is a pytree of arrays. `eval_params` and `select_data` are optional, as in torch;
    `select_data` is not compiled by the harness.
    """

    def init(self, params: Any) -> Any:
        """The initial state. The clock is already running."""

    def update(self, params: Any, state: Any, batch: Any, problem: Problem) -> tuple[Any, Any]:
        """(params, state) after training on one batch; traced once by `jax.jit`."""

    def eval_params(self, params: Any, state: Any) -> Any:
        """The weights to evaluate; default `params`."""

    def select_data(
        self, params: Any, state: Any, draw: Iterator[Any], problem: Problem
    ) -> tuple[Any, Any]:
        """(batch, state)."""
