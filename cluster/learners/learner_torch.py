"""The torch learner: how a torch submission trains a workload's torch model."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from cluster.checkpoint import StateError
from cluster.learners.algorithms_torch import Algorithm, make_algorithm
from cluster.learners.compiled_torch import brought_back, compilations
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
from cluster.learners.run_torch import Run
from cluster.learners.state_torch import asked, to_numpy, to_torch
from scoring.ground.words import Resources, StateDict
from submissions.contract import Parameters, State, SubmissionError
from workloads.contract import Array, Batch, Judged, Weights
from workloads.model_torch import Tensors, TorchModel

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def _device(resources: Resources) -> torch.device:
    if not resources.gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"a trial needs {resources.gpus} accelerator(s) but PyTorch {torch.__version__} "
            "finds none: install its CUDA build, or set `gpus: 0`"
        )
    return torch.device("cuda")


class TorchLearner:
    """See `cluster.learners.contract.Learner`."""

    def __init__(
        self, entry: Entry, batches: Sequence[Batch], observations: Sequence[Array] = ()
    ) -> None:
        torch.set_num_threads(entry.resources.cores)
        self._device = _device(entry.resources)
        self._entry = entry
        self._compiled_model: Any = None
        self._warm: Algorithm | None = None
        self._ready: tuple[Run, torch.Tensor] | None = None
        self._run: Run
        self._algorithm: Algorithm
        self._keeper: Run | None = None
        self._has_kept = False
        self._judged: Tensors = {}
        self._remembered: Any = None
        before = compilations()
        self._warm_up(batches, observations)
        if (count := compilations()) > before:
            self._warm_up(batches, observations)
            if compilations() > count:  # what is made anew is compiled anew
                self._compiled_model, self._warm = self._run.model, self._algorithm
        self._make_ready()

    @property
    def draws(self) -> int:
        return self._run.draws

    def begin(self) -> None:
        run, drawn = self._ready or self._make_ready()
        self._run, self._ready = run, None
        torch.manual_seed(self._entry.seed)
        torch.set_rng_state(drawn)  # as it is after the model was made
        roles = {name: spec.role for name, spec in self._entry.workload.parameters().items()}
        self._algorithm = make_algorithm(self._entry.build(Parameters(run.params, roles)), run)
        self._judged = run.params
        self._remembered = None
        self._has_kept = False
        if self._warm is not None:
            self._algorithm = brought_back(self._warm, self._algorithm)

    def _make_ready(self) -> tuple[Run, torch.Tensor]:
        """A model at its initial weights for `begin`, which is on the clock as this is not."""
        torch.manual_seed(self._entry.seed)
        self._ready = Run(self._entry, self._device, self._model()), torch.get_rng_state()
        return self._ready

    def _warm_up(self, batches: Sequence[Batch], observations: Sequence[Array]) -> None:
        self.begin()
        warm_up_policy(self, observations)
        ready = iter(batches)
        for _ in batches:
            self.step(lambda: next(ready, batches[0]))
        self.prepare_evaluation()

    def _model(self) -> TorchModel:
        # A fresh model for the race, unless it is compiled: that was paid for in the warm-up.
        if self._compiled_model is not None:
            return self._compiled_model
        model = self._fresh_model()
        if self._entry.workload.settings.compute.compile:
            self._compiled_model = model
        return model

    def _fresh_model(self) -> TorchModel:
        return self._entry.workload.torch_model().to(self._device)

    def step(self, draw: Draw) -> None:
        self._remembered = None
        self._algorithm.step(draw)

    def synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def prepare_evaluation(self) -> None:
        live, owned = self._run.params, self._run.owned
        judged = self._algorithm.begin_evaluation()
        _refuse_replaced(live, owned)
        _refuse_hooks(self._run.model)
        weights = plain_weights(judged, owned)
        for name, spec in self._entry.workload.parameters().items():
            for value in (weights[name], owned[name]):
                if type(value) not in _PLAIN:
                    refuse_other_kind(name, value)
                form = (tuple(value.shape), str(value.dtype).removeprefix("torch."))
                refuse_other_form(name, form, (tuple(spec.shape), "float32"))
        # The live weights themselves keep the path that was compiled for them.
        self._judged = live if judged is live else weights

    def judged(self) -> Judged:
        run, params = self._run, self._judged

        def ask(method: str, batch: Batch) -> dict[str, Array]:
            with torch.no_grad():
                answer = run.call(params, method, run.to_device(batch))
            return {name: value.cpu().numpy() for name, value in answer.items()}

        def inspect(batch: Batch) -> dict[str, Array]:
            answer = run.inspect(params, run.to_device(batch))
            return {name: value.float().cpu().numpy() for name, value in answer.items()}

        return Judged(
            functools.partial(ask, "measure"),
            functools.partial(ask, "predict"),
            lambda: to_numpy(params, "weights"),
            inspect,
        )

    def finite(self) -> bool:
        with torch.no_grad():
            return all(bool(torch.isfinite(value).all()) for value in self._judged.values())

    def act(self, observations: Array) -> Array:
        return self._ask(self._run.act, observations)

    def keep(self) -> None:
        if self._keeper is None:
            self._keeper = Run(self._entry, self._device, self._fresh_model())
        self._has_kept = True
        with torch.no_grad():
            for name, parameter in self._keeper.params.items():
                parameter.copy_(self._run.params[name])

    def act_as_kept(self, observations: Array) -> Array:
        assert self._keeper is not None, "`kept` before `keep`"
        return self._ask(self._keeper.act, observations)

    def _ask(self, act: Callable[..., torch.Tensor] | None, observations: Array) -> Array:
        assert act is not None, "this workload's model has no `act`: its stream must not ask"
        with torch.no_grad():
            return act(torch.from_numpy(observations).to(self._device)).cpu().numpy()

    def resume_training(self) -> None:
        self._algorithm.end_evaluation()
        self._judged = self._run.params
        self._remembered = self._asked()

    def _asked(self) -> State:
        try:
            return asked(self._algorithm.state())
        except RecursionError:
            return StateError("state contains itself, or is nested too deeply for a checkpoint")

    def drain(self) -> Taken:
        run = self._run
        totals = Taken(_summed(run.noted), _summed(run.drawn), run.draws)
        run.noted, run.drawn, run.draws = [], [], 0
        return totals

    def weights(self) -> Weights:
        return to_numpy(self._run.params, "weights")

    def state(self) -> StateDict:
        run = self._run
        generators = {"global": torch.get_rng_state(), "loss": run.generator.get_state()}
        if self._device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        remembered = self._asked() if self._remembered is None else self._remembered
        if isinstance(remembered, StateError):
            raise remembered
        tree = {
            "weights": run.params,
            "algorithm": remembered,
            "rng": generators,
            "kept": self._keeper.params if self._keeper and self._has_kept else None,
            "shared": run.shared,
        }
        return {name: to_numpy(value, f"state/{name}") for name, value in tree.items()}

    def load_state(self, state: StateDict) -> None:
        run = self._run
        _copy_into(run.params, state["weights"], self._device)
        if state["kept"] is not None:
            self.keep()
            assert self._keeper is not None
            _copy_into(self._keeper.params, state["kept"], self._device)
        run.shared = to_torch(state.get("shared", {}), self._device)
        self._algorithm.load_state(to_torch(state["algorithm"], self._device))
        self._remembered = None
        cpu = torch.device("cpu")
        torch.set_rng_state(to_torch(state["rng"]["global"], cpu))
        run.generator.set_state(to_torch(state["rng"]["loss"], cpu))
        with contextlib.suppress(KeyError):
            torch.cuda.set_rng_state(to_torch(state["rng"]["cuda"], cpu))


def _refuse_replaced(live: Tensors, owned: Tensors) -> None:
    """The model trains the tensors that it has, whatever stands for them in a dict."""
    odd = next((name for name, value in owned.items() if live.get(name) is not value), None)
    if odd is not None:
        raise SubmissionError(
            f"`params[{odd!r}]` was replaced, which the model does not see; change weights in "
            "place, e.g. with `copy_` or `sub_`"
        )


def _refuse_hooks(model: TorchModel) -> None:
    """What a module calls in training it calls in evaluations, too, where the clock stands."""
    if any(one._forward_hooks or one._forward_pre_hooks for one in model.modules()):
        raise SubmissionError("a hook was added to the model; use only what is in `params`")


def _summed(noted: list[Tensors]) -> dict[str, float]:
    if not noted:
        return {}
    return {
        name: float(torch.stack([sums[name] for sums in noted]).double().sum()) for name in noted[0]
    }


def _copy_into(params: Tensors, saved: Weights, device: torch.device) -> None:
    with torch.no_grad():
        for name, parameter in params.items():
            parameter.copy_(to_torch(saved[name], device))
