"""An AlgoPerf torch file as a `submissions.contract.TorchSubmission`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import torch

from scoring.ground.words import StateDict
from submissions.algoperf.calls import Calls, Scores
from submissions.algoperf.helpers_torch import join_group_of_one
from submissions.algoperf.view import (
    Forward,
    View,
    as_drawn,
    as_seen,
    is_embedding,
    joined,
)
from submissions.algoperf.words import Batch, ByName, RandomState, Tensor, Weights
from submissions.contract import Card, Problem, Tensors

Live = Mapping[str, torch.nn.Parameter]


class Container(torch.nn.Module):
    """The live parameters as a module: their names lead to them as in any model.

    Files tell embeddings by "embedding" in the name: where ours have none, it is added.
    """

    def __init__(self, params: Live, card: Card) -> None:
        super().__init__()
        self.ours: dict[str, str] = {}
        for name, parameter in params.items():
            path = shown(name, card)
            self.ours[path] = name
            *folders, last = path.split(".")
            module: torch.nn.Module = self
            for folder in folders:
                if folder not in module._modules:
                    module.add_module(folder, torch.nn.Module())
                module = module.get_submodule(folder)
            module.register_parameter(last, parameter)

    def forward(self, *arguments: object) -> torch.Tensor:
        """Nothing: the workload's `model_fn` is the way to the model."""
        raise NotImplementedError("call `workload.model_fn`")


def shown(name: str, card: Card) -> str:
    """A parameter's name as files see it."""
    role = card.roles[name]
    if not is_embedding(name, role) or "embedding" in name.lower():
        return name
    stem, dot, last = name.rpartition(".")
    return f"{stem or last}_embedding{dot}{last if stem else ''}"


class TorchView(View):
    """The workload for a torch file."""

    live: Tensors
    names: tuple[str, ...] = ()
    """The keys of the workload's batches."""

    def tree(self, by_name: ByName) -> ByName:
        """By the names of the module."""
        return {shown(name, self._card): value for name, value in by_name.items()}

    def score(self, forward: Forward, mask: Tensor, smoothing: Tensor) -> dict[str, Tensor]:
        """The loss of one forward pass: as the workload's own mean, times the examples."""
        assert self.problem is not None
        batch, problem = self._batch(forward), self.problem
        params, count = self.weights(forward.weights), max(map(len, batch.values()))
        smoothing = float(smoothing or 0.0)
        if mask is not None:
            with torch.no_grad():
                problem.loss(params, batch)  # the step's line in the record
            per_example = self.losses(params, batch, smoothing)
            summed, valid = (per_example * mask).sum(), mask.sum()
            return {"summed": summed, "n_valid_examples": valid, "per_example": per_example}
        mean = problem.loss(params, batch, smoothing)
        valid = torch.full((), float(count), device=mean.device)
        scores = Scores(summed=mean * count, n_valid_examples=valid)
        scores.later = lambda: self.losses(params, batch, smoothing)
        return scores

    def _batch(self, forward: Forward) -> Tensors:
        return as_drawn(forward.batch, self.names)

    def weights(self, module: Weights) -> Tensors:
        """The module's weights by our names; the live ones themselves where they are meant."""
        while isinstance(getattr(module, "module", None), torch.nn.Module):
            module = module.module
        if not isinstance(module, Container):
            self.refuse(f"`model_fn` was given a {type(module).__name__} as weights")
        weights = {module.ours[name]: value for name, value in module.named_parameters()}
        live = self.live
        return live if all(weights[name] is live[name] for name in live) else weights


class TorchAlgoperf:
    """The submission object. Its memory is the file's optimizer state and what it was told."""

    def __init__(self, calls: Calls, card: Card, grouped: bool) -> None:
        assert isinstance(calls.view, TorchView)
        self._calls = calls
        self._view = calls.view
        self._card = card
        self._grouped = grouped
        self._batches = calls.batches()

    def init(self, params: Tensors) -> StateDict:
        """The file's initial state."""
        if self._grouped:
            join_group_of_one()
        view = self._view
        view.live = params
        self._container = Container(cast(Live, params), self._card)
        with torch.enable_grad():
            state = self._calls.init(self._container, None, self._rng(-1))
        return {"optimizer": state, "model": None, "step": 0, "seconds": 0.0}

    def select_data(
        self,
        params: Tensors,
        state: StateDict,
        draw: Iterator[Tensors],
        problem: Problem[torch.Tensor],
    ) -> tuple[Batch, StateDict]:
        """The file's choice among the batches."""
        began = time.perf_counter()
        rng, step = self._rng(state["step"]), state["step"]
        optimizer, model = state["optimizer"], state["model"]
        draws = map(self._seen, joined(draw, self._batches, torch.cat))
        batch = self._calls.select(draws, optimizer, self._container, model, step, rng)
        return batch, self._timed(state, began)

    def update(
        self, params: Tensors, state: StateDict, batch: Batch, problem: Problem[torch.Tensor]
    ) -> StateDict:
        """One step of the file's."""
        began, step = time.perf_counter(), state["step"]
        self._view.problem = problem
        with torch.enable_grad():
            optimizer, module, model = self._calls.update(
                state["seconds"],
                current_param_container=self._container,
                model_state=state["model"],
                batch=batch,
                optimizer_state=state["optimizer"],
                global_step=step,
                rng=self._rng(step),
            )
        self._take(module)
        state_after = {"optimizer": optimizer, "model": model, "step": step + 1}
        return self._timed({**state_after, "seconds": state["seconds"]}, began)

    def prepare(self, params: Tensors, state: StateDict) -> StateDict:
        """The file's preparation for an evaluation, of the weights that it goes on with."""
        if not self._calls.prepares:
            return state
        began, step = time.perf_counter(), state["step"]
        with torch.enable_grad():
            optimizer, module, model = self._calls.prepare(
                current_param_container=self._container,
                model_state=state["model"],
                optimizer_state=state["optimizer"],
                global_step=step,
                rng=self._rng(step),
            )
        self._take(module)
        return self._timed({**state, "optimizer": optimizer, "model": model}, began)

    def _seen(self, batch: Tensors) -> Batch:
        view = self._view
        view.names = tuple(batch)
        return as_seen(batch)

    def _take(self, module: Weights) -> None:
        """The weights that the file gave back become the live ones."""
        view = self._view
        weights = view.weights(module)
        if weights is view.live:
            return
        with torch.no_grad():
            for name, parameter in view.live.items():
                parameter.copy_(weights[name])

    def _timed(self, state: StateDict, began: float) -> StateDict:
        return {**state, "seconds": state["seconds"] + time.perf_counter() - began}

    def _rng(self, step: int) -> RandomState:
        """Two numbers, as AlgoPerf hands them to torch files."""
        return np.random.SeedSequence([self._card.seed, step + 1]).generate_state(2)
