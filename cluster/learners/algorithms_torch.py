"""How torch submissions make a step: optimizers with their schedulers, or an object of two methods.

Optimizers are asked for what they want by the signature of their `step`: nothing, a closure, or
the loss; those of two steps (sharpness-aware ones) get their second gradient between them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch

from cluster.faults import told
from cluster.learners.contract import Draw
from cluster.learners.run_torch import Problem, Run, Taking
from cluster.learners.state_torch import in_order, into_objects, load_optimizer
from scoring.ground.words import StateDict
from submissions.contract import State, SubmissionError, TorchSubmission
from submissions.load import flatten, is_optimizer
from workloads.model_torch import Tensors

_ASKS = "write `CLOSURE = True` at the top level of the file"
_GRAPH = (
    "where it differentiates its gradients, return an object whose `update` takes them with "
    "`create_graph=True` and steps it (submissions/README.md)"
)
_IN_PLACE = "leaf Variable that requires grad is being used in an in-place operation"
_NO_GRAD = "write `@torch.no_grad()` above the optimizer's `def step`"
_NO_GRAPH = "does not require grad and does not have a grad_fn"
"""What torch says where gradients were taken without a graph of their own."""
_HOOK = "let the hook return nothing: a `def` with the call in it, instead of a `lambda`"


class _Stepper:
    """One optimizer, and the way in which it wants to be stepped."""

    def __init__(self, optimizer: Any, run: Run) -> None:
        self.optimizer = optimizer
        wanted = inspect.signature(optimizer.step).parameters
        closure = run.entry.closure
        required = "closure" in wanted and wanted["closure"].default is inspect.Parameter.empty
        two_steps = all(hasattr(optimizer, name) for name in ("first_step", "second_step"))
        self.closure = closure if closure is not None else required
        self.two_steps = two_steps and closure is None
        self.loss = "loss" in wanted and not self.closure
        self._may_ask = "closure" in wanted and not self.closure

    def step(self, value: torch.Tensor, again: Callable[[], torch.Tensor]) -> None:
        """Step; `value` is the loss of the gradients at hand, `again` takes both anew."""
        if self.closure:
            self.optimizer.step(again)
        elif self.two_steps:
            self.optimizer.first_step(zero_grad=True)
            again()
            self.optimizer.second_step(zero_grad=True)
        elif self.loss:
            self.optimizer.step(loss=value.detach())
        else:
            self._step_alone()

    def _step_alone(self) -> None:
        try:
            self.optimizer.step()
        except Exception as error:
            text = told(error, kind=False)
            advice = self._advice(text)
            if not advice:
                raise
            name = type(self.optimizer).__name__
            raise SubmissionError(f"{name}: {text.rstrip('.')}; {advice}") from error

    def _advice(self, said: str) -> str:
        """What to do about an error of the optimizer's own, where that is known."""
        if self._may_ask and "closure" in said.lower():
            return _ASKS
        if _NO_GRAPH in said:
            return _GRAPH
        if _IN_PLACE in said:
            return _NO_GRAD
        return _HOOK if "must return None or a tuple" in said else ""


class _Scheduled:
    """One scheduler; one that is stepped with a metric gets the training loss."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        wanted = inspect.signature(scheduler.step).parameters.values()
        self.metric = any(
            p.default is inspect.Parameter.empty and p.kind is p.POSITIONAL_OR_KEYWORD
            for p in wanted
        )

    def step(self, value: torch.Tensor) -> None:
        if self.metric:
            self.scheduler.step(float(value.detach()))
        else:
            self.scheduler.step()


class OptimizerAlgorithm:
    """Optimizers, perhaps with schedulers, in the order in which `submission` returned them."""

    def __init__(self, product: object, run: Run) -> None:
        parts = flatten(product)
        self.run = run
        self.steppers = [_Stepper(part, run) for part in parts if is_optimizer(part)]
        self.schedulers = [_Scheduled(part) for part in parts if not is_optimizer(part)]
        self.optimizers = [stepper.optimizer for stepper in self.steppers]
        self.only_closures = all(stepper.closure for stepper in self.steppers)
        module = run.entry.module
        self.eval_params = getattr(module, "eval_params", None)
        self.select_data = getattr(module, "select_data", None)
        self.problem = Problem(run)
        self.end_evaluation()  # schedule-free optimizers refuse to step before `train()`

    def step(self, draw: Draw) -> None:
        run = self.run
        batch, taking = self._batch(draw)
        run.await_loss()
        value = None if self.only_closures else self._backward(batch, taking)

        def again() -> torch.Tensor:
            nonlocal value
            latest = self._backward(batch)
            value = latest if value is None else value
            return latest.detach()

        for stepper in self.steppers:
            stepper.step(value, again)  # type: ignore[arg-type]
        run.require_loss("the optimizer's `step` never called its closure and")
        assert value is not None
        for scheduler in self.schedulers:
            scheduler.step(value)
        run.model.project()

    def _batch(self, draw: Draw) -> tuple[Tensors, Taking | None]:
        """The batch of the step, and its loss where the harness takes that first of all."""
        run = self.run
        if self.select_data is not None:
            with torch.no_grad():
                draws = run.drawn_batches(draw)
                batch, _ = self.select_data(run.params, self._memory(), draws, self.problem)
            return batch, None
        if self.only_closures:
            return run.draw(draw), None
        return run.draw_and_take_loss(draw)

    def _backward(self, batch: Tensors, taking: Taking | None = None) -> torch.Tensor:
        run = self.run
        with torch.enable_grad():
            value, sums = taking or run.call(run.params, "loss", run.whole(batch), run.generator)
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            value.backward()
        run.note(value, sums)
        return value

    def begin_evaluation(self) -> Tensors:
        # Schedule-free optimizers, and others that average, swap weights in `eval()`.
        for optimizer in self.optimizers:
            if hasattr(optimizer, "eval"):
                optimizer.eval()
        if self.eval_params is None:
            return self.run.params
        with torch.no_grad():
            return self.eval_params(self.run.params, self._memory())

    def end_evaluation(self) -> None:
        for optimizer in self.optimizers:
            if hasattr(optimizer, "train"):
                optimizer.train()

    def _memory(self) -> StateDict:
        """What the optimizers remember of each parameter, by its name."""
        state: StateDict = {}
        for optimizer in self.optimizers:
            states: Mapping[torch.Tensor, object] = getattr(optimizer, "state", {})
            state |= {n: states[p] for n, p in self.run.params.items() if p in states}
        return state

    def _names(self, optimizer: Any) -> list[str]:
        """Of its parameters, in its own order; "" where one is none of the workload's."""
        names = {id(p): name for name, p in self.run.params.items()}
        groups = getattr(optimizer, "param_groups", [])
        return [names.get(id(p), "") for group in groups for p in group["params"]]

    def state(self) -> State:
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "orders": [self._names(optimizer) for optimizer in self.optimizers],
            "schedulers": [one.scheduler.state_dict() for one in self.schedulers],
        }

    def load_state(self, state: State) -> None:
        kept = zip(self.optimizers, state["optimizers"], state["orders"], strict=True)
        for optimizer, saved, then in kept:
            load_optimizer(optimizer, in_order(saved, then, self._names(optimizer)))
        for one, saved in zip(self.schedulers, state["schedulers"], strict=True):
            one.scheduler.load_state_dict(into_objects(saved, one.scheduler.state_dict()))


class ObjectAlgorithm:
    """An object with `init` and `update`."""

    def __init__(self, submission: TorchSubmission, run: Run) -> None:
        self.submission = submission
        self.run = run
        self.problem = Problem(run)
        with torch.no_grad():
            self.memory = submission.init(run.params)

    def step(self, draw: Draw) -> None:
        run, submission = self.run, self.submission
        with torch.no_grad():
            if hasattr(submission, "select_data"):
                batch, self.memory = submission.select_data(
                    run.params, self.memory, run.drawn_batches(draw), self.problem
                )
            else:
                batch = run.draw(draw)
            run.await_loss()
            self.memory = submission.update(run.params, self.memory, batch, self.problem)
        run.require_loss("`update`")
        run.model.project()

    def begin_evaluation(self) -> Tensors:
        if hasattr(self.submission, "prepare"):
            with torch.no_grad():
                self.memory = self.submission.prepare(self.run.params, self.memory)
            return self.run.params
        if not hasattr(self.submission, "eval_params"):
            return self.run.params
        with torch.no_grad():
            return self.submission.eval_params(self.run.params, self.memory)

    def end_evaluation(self) -> None:
        pass

    def state(self) -> State:
        return self.memory

    def load_state(self, state: State) -> None:
        self.memory = into_objects(state, self.memory)


Algorithm = OptimizerAlgorithm | ObjectAlgorithm


def make_algorithm(product: object, run: Run) -> Algorithm:
    """The algorithm of what `submission` returned; `submissions.load.build` has looked at it."""
    if hasattr(product, "init") and hasattr(product, "update"):
        return ObjectAlgorithm(cast(TorchSubmission, product), run)
    return OptimizerAlgorithm(product, run)
