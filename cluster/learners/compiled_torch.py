"""What a submission has torch compile for itself is paid for in the warm-up, as JAX's is.

Compiled functions of tensors serve whoever calls them again. Where torch compiles for the very
object (`optimizer.step = torch.compile(optimizer.step)`), that of the warm-up races, brought back
to where the one is that `submission()` makes on the clock. Where that cannot be, as with a state
that an optimizer of one's own makes late, `compilations` in the outcome tells.
"""

from __future__ import annotations

import inspect
import sys

import torch

from cluster.learners.algorithms_torch import Algorithm, ObjectAlgorithm, OptimizerAlgorithm
from cluster.learners.run_torch import Problem
from cluster.learners.state_torch import into_objects, load_optimizer
from scoring.ground.words import StateDict
from submissions.contract import State

_KEPT = ("params", "capturable")
"""Of a group: the same tensors in both, and what torch itself sets where it compiles."""


def compilations() -> int:
    """How many frames torch has compiled in this process."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["frames"]["total"]) if dynamo else 0


def brought_back(warm: Algorithm, fresh: Algorithm) -> Algorithm:
    """The algorithm of the warm-up, in the state of the fresh one; both train the same tensors."""
    if isinstance(warm, ObjectAlgorithm) and isinstance(fresh, ObjectAlgorithm):
        warm.memory = fresh.memory
    elif isinstance(warm, OptimizerAlgorithm) and isinstance(fresh, OptimizerAlgorithm):
        for one, other in zip(warm.optimizers, fresh.optimizers, strict=True):
            _bring_back(one, other)
        for ours, theirs in zip(warm.schedulers, fresh.schedulers, strict=True):
            saved = theirs.scheduler.state_dict()
            ours.scheduler.load_state_dict(into_objects(saved, ours.scheduler.state_dict()))
    else:
        return fresh
    warm.run, warm.problem = fresh.run, Problem(fresh.run)
    return warm


def _bring_back(warm: State, fresh: State) -> None:
    for name, value in vars(fresh).items():
        if name not in ("state", "param_groups") and not callable(value):
            setattr(warm, name, value)
    untouched = fresh.state_dict()
    _initialise(fresh, warm)
    if not _alike(warm, fresh):
        load_optimizer(warm, untouched)
        return
    # In place: what torch compiled holds for these very tensors.
    for parameter, before in warm.state.items():
        _copy(before, fresh.state[parameter])
    for group, other in zip(warm.param_groups, fresh.param_groups, strict=True):
        _copy(group, {name: value for name, value in other.items() if name not in _KEPT})


def _initialise(fresh: State, warm: State) -> None:
    """Have an optimizer of torch's own make its state, which it would do in its first step."""
    if not hasattr(fresh, "_init_group"):
        return
    for parameter in warm.state:
        parameter.grad = torch.zeros_like(parameter)
    for group in fresh.param_groups:
        lists = len(inspect.signature(fresh._init_group).parameters) - 1
        fresh._init_group(group, *([] for _ in range(lists)))
    for parameter in warm.state:
        parameter.grad = None
    if type(fresh) is torch.optim.SGD:
        _begin_momentum(fresh)


def _begin_momentum(fresh: torch.optim.SGD) -> None:
    """SGD's first gradient becomes its momentum, as it does where that is zero; undampened only."""
    for group in fresh.param_groups:
        if group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                fresh.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _alike(warm: State, fresh: State) -> bool:
    """Whether both remember the same things of the same parameters."""
    if list(warm.state) != list(fresh.state):
        return False
    return all(
        known.keys() == fresh.state[parameter].keys()
        and all(_fits(value, fresh.state[parameter][name]) for name, value in known.items())
        for parameter, known in warm.state.items()
    )


def _fits(one: State, other: State) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return (one.shape, one.dtype) == (other.shape, other.dtype)
    return type(one) is type(other)


def _copy(into: StateDict, values: StateDict) -> None:
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and isinstance(into.get(name), torch.Tensor):
            with torch.no_grad():
                into[name].copy_(value)
        else:
            into[name] = value
