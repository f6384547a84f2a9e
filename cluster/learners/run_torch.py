"""A torch model and the objective, as an algorithm trains it."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from cluster.learners.contract import Draw, Entry, Rank
from cluster.learners.team_torch import TorchTeam, average_gradients_of
from cluster.learners.world_torch import see_that_loss_is_the_races
from submissions.contract import SubmissionError
from workloads.contract import Batch
from workloads.model_torch import Tensors, TorchModel

Taking = tuple[torch.Tensor, Tensors]


class Methods(torch.nn.Module):
    """Lets `functional_call` reach any method of a model, at any weights."""

    def __init__(self, model: TorchModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, method: str, *args: object) -> Any:
        return getattr(self.model, method)(*args)

    def at(self, params: Tensors, method: str, *args: object) -> Any:
        """A method of the model with these tensors in its parameters' place."""
        prefixed = {f"model.{name}": value for name, value in params.items()}
        return torch.func.functional_call(self, prefixed, (method, *args))


class Run:
    """A model from its initial weights on, and the sums that its training leaves behind."""

    def __init__(self, entry: Entry, device: torch.device, model: TorchModel) -> None:
        self.entry = entry
        self.device = device
        self.model = model
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.tensor(entry.weights[name]))
                parameter.grad = None
        self.owned: Tensors = dict(self.model.named_parameters())
        self.params = dict(self.owned)  # handed out, and whoever has a dict may change it
        self.generator = torch.Generator(device).manual_seed(entry.seed)
        self.prequential = entry.workload.prequential
        self.shared: Tensors = {}
        self.noted: list[Tensors] = []
        self.drawn: list[Tensors] = []
        self.draws = 0
        self._awaited = False
        self._methods = Methods(self.model)
        self.loss: Callable[..., Any] = model.loss
        self.smooths = "smoothing" in inspect.signature(model.loss).parameters
        self.act = getattr(model, "act", None)
        if entry.workload.settings.compute.compile:
            self.loss = torch.compile(model.loss)
            self.act = torch.compile(self.act) if self.act else None
        self._team = self._join(entry.rank) if entry.rank else None

    def _join(self, rank: Rank) -> TorchTeam:
        """Take losses and gradients together with the trial's other ranks."""
        team = TorchTeam(rank, self.device, self.generator, self.prequential)
        self.loss = functools.partial(team.loss, self.loss)
        for hook in getattr(self.model, "hooks_of_ranks", ()):  # of an earlier run of this model
            hook.remove()
        self.model.hooks_of_ranks = average_gradients_of(self.params)  # type: ignore[assignment]
        return team

    def call(self, params: Tensors, method: str, *args: Any) -> Any:
        """A method of the model at other weights than the live ones, or at these."""
        live = params is self.params  # whose types are looked at when they are judged
        see_that_loss_is_the_races(self.device.type, {} if live else params)
        if live:
            return self.loss(*args) if method == "loss" else getattr(self.model, method)(*args)
        if method == "loss" and self._team:
            at = functools.partial(self._methods.at, self._team.share(params), "loss")
            return self._team.loss(at, *args)
        return self._methods.at(params, method, *args)

    def alone(self, params: Tensors, batch: Tensors) -> torch.Tensor:
        """The loss of a batch that is not shared out between ranks."""
        see_that_loss_is_the_races(self.device.type, params)
        return self._methods.at(params, "loss", batch, self.generator)[0]

    def inspect(self, params: Tensors, batch: Tensors) -> Tensors:
        """What diagnostics look at, at any weights; nothing of the training is touched."""
        with torch.no_grad():
            seen: Tensors = self._methods.at(params, "inspect", batch)
        if not self.entry.workload.supervised:
            return seen
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        own = torch.Generator(self.device).manual_seed(0)
        with torch.enable_grad():
            value = self._methods.at(leaves, "loss", batch, own)[0]
            gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        norms = [torch.linalg.vector_norm(one) for one in gradients if one is not None]
        return seen | {"gradient_norm": torch.linalg.vector_norm(torch.stack(norms))}

    def to_device(self, batch: Batch) -> Tensors:
        """The batch as tensors."""
        return {
            name: torch.from_numpy(array).to(self.device, non_blocking=True)
            for name, array in batch.items()
        }

    def whole(self, batch: Tensors) -> Tensors:
        """The batch as the model takes it: with what all examples share."""
        return self.shared | batch if self.shared else batch

    def _own(self, batch: Tensors) -> Tensors:
        """The batch as the submission sees it: what belongs to examples, and nothing else."""
        if names := self.entry.workload.shared:
            self.shared = {name: batch[name] for name in names}
            return {name: value for name, value in batch.items() if name not in names}
        return batch

    def draw(self, draw: Draw) -> Tensors:
        """The stream's next batch, measured before the submission sees it where that counts."""
        batch = self.to_device(draw())
        self.draws += 1
        if self.prequential:
            with torch.no_grad():
                self._note_drawn(self.call(self.params, "measure", batch))
        return self._own(batch)

    def draw_and_take_loss(self, draw: Draw) -> tuple[Tensors, Taking]:
        """The next batch, and its loss and by-products, taken at once: its measure too."""
        batch = self.to_device(draw())
        self.draws += 1
        value, sums = self.call(self.params, "loss", batch, self.generator)
        if self.prequential:
            self._note_drawn(sums)
        return self._own(batch), (value, sums)

    def drawn_batches(self, draw: Draw) -> Iterator[Tensors]:
        """As many batches as `select_data` likes."""
        while True:
            yield self.draw(draw)

    def _note_drawn(self, sums: Tensors) -> None:
        self.drawn.append({name: sums[name].detach() for name in self.prequential})

    def await_loss(self) -> None:
        """From now on, the first loss is the step's."""
        self._awaited = True

    def note(self, value: torch.Tensor, sums: Tensors) -> None:
        """Keep the by-products if this is the step's first loss."""
        if self._awaited:
            self._awaited = False
            detached = {name: item.detach() for name, item in sums.items()}
            self.noted.append({"loss": value.detach()} | detached)

    def require_loss(self, what: str) -> None:
        """A step without a loss cannot have learned.

        Raises:
            SubmissionError: none was taken since `await_loss`.
        """
        if self._awaited:
            advice = "call `problem.loss` or `problem.value_and_grad` in every step"
            raise SubmissionError(f"{what} returned without computing a loss; {advice}")


class Problem:
    """The training objective as torch submission objects see it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.classes: int | None = run.entry.workload.classes

    def loss(
        self, params: Tensors, batch: Tensors, smoothing: float | torch.Tensor = 0.0
    ) -> torch.Tensor:
        run = self._run
        more = (smoothing,) if smoothing and run.smooths else ()
        value, sums = run.call(params, "loss", run.whole(batch), run.generator, *more)
        self._run.note(value, sums)
        return value

    def value_and_grad(self, params: Tensors, batch: Tensors) -> tuple[torch.Tensor, Tensors]:
        with torch.enable_grad():
            value = self.loss(params, batch)
            gradients = torch.autograd.grad(
                value, list(params.values()), allow_unused=True, materialize_grads=True
            )
        return value.detach(), dict(zip(params, gradients, strict=True))

    def losses(self, params: Tensors, batch: Tensors) -> torch.Tensor:
        run = self._run

        def one(example: Tensors) -> torch.Tensor:
            rows = run.whole({name: value[None] for name, value in example.items()})
            return run.alone(params, rows)

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # a loop, then
            return torch.func.vmap(one)(batch)

    def measure(self, params: Tensors, batch: Tensors) -> Tensors:
        with torch.no_grad():
            return self._run.call(params, "measure", self._run.whole(batch))

    def project(self, params: Tensors) -> Tensors:
        copies = {name: value.detach().clone() for name, value in params.items()}
        with torch.no_grad():
            self._run.call(copies, "project")
        return copies
