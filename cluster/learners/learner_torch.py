"""The torch learner: how a torch submission trains a workload's torch model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from cluster.checkpoint import StateError
from cluster.learners.contract import DeviceError, Draw, Entry, warm_up_policy
from scoring.ground.words import Resources
from submissions.contract import Parameters, SubmissionError, TorchSubmission
from workloads.contract import Array, Batch

Tensors = dict[str, torch.Tensor]


class Methods(torch.nn.Module):
    """Lets `functional_call` reach any method of a model, at any weights."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, method: str, *args: Any) -> Any:
        return getattr(self.model, method)(*args)

    def at(self, params: Tensors, method: str, *args: Any) -> Any:
        """A method of the model with these tensors in its parameters' place."""
        prefixed = {f"model.{name}": value for name, value in params.items()}
        return torch.func.functional_call(self, prefixed, (method, *args))


class _Problem:
    """The training objective as torch submission objects see it."""

    def __init__(self, learner: _Run) -> None:
        self._run = learner

    def loss(self, params: Tensors, batch: Tensors) -> torch.Tensor:
        value, sums = self._run.call(params, "loss", batch, self._run.generator)
        self._run.note_first(batch, value, sums)
        return value

    def value_and_grad(self, params: Tensors, batch: Tensors) -> tuple[torch.Tensor, Tensors]:
        with torch.enable_grad():
            value = self.loss(params, batch)
            gradients = torch.autograd.grad(value, list(params.values()))
        return value.detach(), dict(zip(params, gradients, strict=True))

    def measure(self, params: Tensors, batch: Tensors) -> Tensors:
        with torch.no_grad():
            return self._run.call(params, "measure", batch)


class _Run:
    """A model and the algorithm that trains it, from the initial weights on."""

    def __init__(self, entry: Entry, device: torch.device, model: Any) -> None:
        self.entry = entry
        self.device = device
        self.model = model
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.tensor(entry.weights[name]))
                parameter.grad = None
        self.params: Tensors = dict(self.model.named_parameters())
        self.generator = torch.Generator(device).manual_seed(entry.seed)
        self.noted: list[Tensors] = []
        self.batch: Tensors | None = None
        self._methods = Methods(self.model)
        self.loss = model.loss
        self.act = getattr(model, "act", None)
        if entry.workload.settings.compute.compile:
            self.loss = torch.compile(model.loss)
            self.act = torch.compile(self.act) if self.act else None

    def build(self) -> _Algorithm:
        specs = self.entry.workload.parameters()
        roles = {name: spec.role for name, spec in specs.items()}
        made = self.entry.build(Parameters(self.params, roles))
        return _algorithm(made, self)

    def call(self, params: Tensors, method: str, *args: Any) -> Any:
        """A method of the model at other weights than the live ones, or at these."""
        if params is self.params:
            return self.loss(*args) if method == "loss" else getattr(self.model, method)(*args)
        return self._methods.at(params, method, *args)

    def to_device(self, batch: Batch) -> Tensors:
        return {
            name: torch.from_numpy(array).to(self.device, non_blocking=True)
            for name, array in batch.items()
        }

    def note(self, value: torch.Tensor, sums: Tensors) -> None:
        self.noted.append(
            {"loss": value.detach()} | {name: item.detach() for name, item in sums.items()}
        )

    def note_first(self, batch: Tensors, value: torch.Tensor, sums: Tensors) -> None:
        # Predict, then learn: only the first loss on the step's own batch counts.
        if batch is self.batch:
            self.batch = None
            self.note(value, sums)


class _OptimizerAlgorithm:
    """A `torch.optim.Optimizer`, perhaps with a scheduler."""

    def __init__(self, optimizer: Any, scheduler: Any, run: _Run) -> None:
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.run = run

    def step(self, draw: Draw) -> None:
        run, optimizer = self.run, self.optimizer
        batch = run.to_device(draw())
        if run.entry.closure:
            run.batch = batch
            optimizer.step(lambda: self._backward(batch))
        else:
            value, sums = run.loss(batch, run.generator)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            run.note(value, sums)
        if self.scheduler is not None:
            self.scheduler.step()
        run.model.project()

    def _backward(self, batch: Tensors) -> torch.Tensor:
        with torch.enable_grad():
            value, sums = self.run.loss(batch, self.run.generator)
            self.optimizer.zero_grad(set_to_none=True)
            value.backward()
        self.run.note_first(batch, value, sums)
        return value.detach()

    def begin_evaluation(self) -> Tensors:
        # Schedule-free optimizers, and others that average, swap weights in `eval()`.
        if hasattr(self.optimizer, "eval"):
            self.optimizer.eval()
        return self.run.params

    def end_evaluation(self) -> None:
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()

    def state(self) -> Any:
        schedule = self.scheduler.state_dict() if self.scheduler is not None else None
        return {"optimizer": self.optimizer.state_dict(), "scheduler": schedule}

    def load_state(self, state: Any) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])


class _ObjectAlgorithm:
    """An object with `init` and `update`."""

    def __init__(self, submission: TorchSubmission, run: _Run) -> None:
        self.submission = submission
        self.run = run
        self.problem = _Problem(run)
        with torch.no_grad():
            self.memory = submission.init(run.params)

    def step(self, draw: Draw) -> None:
        run, submission = self.run, self.submission
        with torch.no_grad():
            if hasattr(submission, "select_data"):
                batch, self.memory = submission.select_data(
                    run.params, self.memory, _drawn(run, draw), self.problem
                )
            else:
                batch = run.to_device(draw())
            run.batch = batch
            self.memory = submission.update(run.params, self.memory, batch, self.problem)
        if run.batch is not None:
            raise SubmissionError("`update` returned without one loss of the batch it was given")
        run.model.project()

    def begin_evaluation(self) -> Tensors:
        if hasattr(self.submission, "eval_params"):
            with torch.no_grad():
                return self.submission.eval_params(self.run.params, self.memory)
        return self.run.params

    def end_evaluation(self) -> None:
        pass

    def state(self) -> Any:
        return self.memory

    def load_state(self, state: Any) -> None:
        self.memory = state


_Algorithm = _OptimizerAlgorithm | _ObjectAlgorithm


def _drawn(run: _Run, draw: Draw) -> Iterator[Tensors]:
    while True:
        yield run.to_device(draw())


def _algorithm(made: Any, run: _Run) -> _Algorithm:
    # `submissions.load.build` has seen to it that `made` is one of these.
    if hasattr(made, "init") and hasattr(made, "update"):
        return _ObjectAlgorithm(made, run)
    optimizer, scheduler = made if isinstance(made, tuple) else (made, None)
    algorithm = _OptimizerAlgorithm(optimizer, scheduler, run)
    algorithm.end_evaluation()  # schedule-free optimizers refuse to step before `train()`
    return algorithm


def _device(resources: Resources) -> torch.device:
    if not resources.gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"a trial asks for {resources.gpus} accelerator(s) and PyTorch {torch.__version__} "
            "finds none: install its CUDA build, or set `gpus: 0`"
        )
    return torch.device("cuda")


class TorchLearner:
    """See `cluster.learners.contract.Learner`."""

    def __init__(self, entry: Entry) -> None:
        torch.set_num_threads(entry.resources.cores)
        self._device = _device(entry.resources)
        self._entry = entry
        self._compiled_model: Any = None
        self._run: _Run
        self._algorithm: _Algorithm
        self._keeper: _Run | None = None
        self._has_kept = False
        self._judged: Tensors = {}

    def warm_up(self, batches: list[Batch], observations: Sequence[Array] = ()) -> None:
        self.begin()
        warm_up_policy(self, observations)
        ready = iter(batches)
        for _ in batches:
            self.step(lambda: next(ready, batches[0]))
        self.prepare_evaluation()

    def begin(self) -> None:
        torch.manual_seed(self._entry.seed)
        self._run = _Run(self._entry, self._device, self._model())
        self._algorithm = self._run.build()
        self._judged = self._run.params
        self._has_kept = False

    def _model(self) -> Any:
        # A fresh model for the race, unless it is compiled: that was paid for in the warm-up.
        if self._compiled_model is not None:
            return self._compiled_model
        model = self._fresh_model()
        if self._entry.workload.settings.compute.compile:
            self._compiled_model = model
        return model

    def _fresh_model(self) -> Any:
        return self._entry.workload.torch_model().to(self._device)

    def step(self, draw: Draw) -> None:
        self._algorithm.step(draw)

    def synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def prepare_evaluation(self) -> None:
        self._judged = self._algorithm.begin_evaluation()

    def measure(self, batch: Batch) -> dict[str, Array]:
        run = self._run
        with torch.no_grad():
            sums = run.call(self._judged, "measure", run.to_device(batch))
        return {name: value.cpu().numpy() for name, value in sums.items()}

    def finite(self) -> bool:
        with torch.no_grad():
            return all(bool(torch.isfinite(value).all()) for value in self._judged.values())

    def act(self, observations: Array) -> Array:
        return self._ask(self._run.act, observations)

    def keep(self) -> None:
        if self._keeper is None:
            self._keeper = _Run(self._entry, self._device, self._fresh_model())
        self._has_kept = True
        with torch.no_grad():
            for name, parameter in self._keeper.params.items():
                parameter.copy_(self._run.params[name])

    def act_as_kept(self, observations: Array) -> Array:
        assert self._keeper is not None, "`kept` before `keep`"
        return self._ask(self._keeper.act, observations)

    def _ask(self, act: Any, observations: Array) -> Array:
        with torch.no_grad():
            return act(torch.from_numpy(observations).to(self._device)).cpu().numpy()

    def resume_training(self) -> None:
        self._algorithm.end_evaluation()
        self._judged = self._run.params

    def drain(self) -> dict[str, float]:
        noted, self._run.noted = self._run.noted, []
        if not noted:
            return {}
        return {
            name: float(torch.stack([sums[name] for sums in noted]).double().sum())
            for name in noted[0]
        }

    def state(self) -> dict[str, Any]:
        run = self._run
        generators = {"global": torch.get_rng_state(), "loss": run.generator.get_state()}
        if self._device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        tree = {"weights": run.params, "algorithm": self._algorithm.state(), "rng": generators}
        tree["kept"] = self._keeper.params if self._keeper and self._has_kept else None
        return _to_numpy(tree, "state")

    def load_state(self, state: dict[str, Any]) -> None:
        run = self._run
        _copy_into(run.params, state["weights"], self._device)
        if state["kept"] is not None:
            self.keep()
            assert self._keeper is not None
            _copy_into(self._keeper.params, state["kept"], self._device)
        self._algorithm.load_state(_to_torch(state["algorithm"], self._device))
        cpu = torch.device("cpu")
        torch.set_rng_state(_to_torch(state["rng"]["global"], cpu))
        run.generator.set_state(_to_torch(state["rng"]["loss"], cpu))
        with contextlib.suppress(KeyError):
            torch.cuda.set_rng_state(_to_torch(state["rng"]["cuda"], cpu))


def _copy_into(params: Tensors, saved: Any, device: torch.device) -> None:
    with torch.no_grad():
        for name, parameter in params.items():
            parameter.copy_(_to_torch(saved[name], device))


def _to_numpy(value: Any, name: str) -> Any:
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().contiguous()
        if tensor.dtype == torch.bfloat16:
            import ml_dtypes

            return tensor.view(torch.uint16).numpy().copy().view(ml_dtypes.bfloat16)
        return tensor.numpy().copy()
    if isinstance(value, dict):
        return {key: _to_numpy(item, f"{name}/{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_to_numpy(item, f"{name}/{i}") for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return value
    raise StateError(f"{name} is a {type(value).__qualname__}")


def _to_torch(value: Any, device: torch.device) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.name == "bfloat16":
            return torch.tensor(value.view(np.uint16)).view(torch.bfloat16).to(device)
        return torch.tensor(value, device=device)
    if isinstance(value, dict):
        return {key: _to_torch(item, device) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_torch(item, device) for item in value]
    if isinstance(value, tuple):
        return tuple(_to_torch(item, device) for item in value)
    return value
