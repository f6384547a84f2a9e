"""The functions of an executed AlgoPerf file, called as AlgoPerf calls them."""

from __future__ import annotations

import collections
import inspect
import statistics
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, ModuleType

from submissions.algoperf.facts import SPACE
from submissions.algoperf.spec import TrainingCompleteError
from submissions.algoperf.view import View
from submissions.algoperf.words import (
    Batch,
    ModelState,
    OptimizerState,
    RandomState,
    Step,
    Tensor,
    Weights,
)
from submissions.contract import SubmissionError, TrainingComplete

_NO_CUDA = ("not compiled with CUDA", "Found no NVIDIA driver")
"""What files that were written for a machine with CUDA say on another."""
_USUAL = {
    "criteo1tb": 262_144,
    "fastmri": 32,
    "imagenet_resnet": 1024,
    "imagenet_vit": 1024,
    "librispeech_conformer": 256,
    "librispeech_deepspeech": 256,
    "ogbg": 512,
    "wmt": 128,
    "mnist": 16,
    "finewebedu_lm": 64,
}
"""The examples of a batch in AlgoPerf's baselines, by its workloads."""
_MOST_BATCHES = 64


class Calls:
    """The functions of one file, called as AlgoPerf calls them."""

    def __init__(
        self, module: ModuleType, view: View, hyperparameters: Mapping[str, object]
    ) -> None:
        self.module = module
        self.view = view
        # AlgoPerf's form: None where a file tunes itself, else a named tuple.
        self.hyperparameters: object = None
        if hyperparameters:
            kind = collections.namedtuple("Hyperparameters", list(hyperparameters))  # type: ignore[misc]
            self.hyperparameters = kind(**hyperparameters)
        self._takes_train_state = "train_state" in _arguments(module.update_params)
        self.prepares = callable(getattr(module, "prepare_for_eval", None))

    def batches(self) -> int:
        """How many of the workload's own batches the file wants as one.

        Files know AlgoPerf's workloads alone, and none may know which one it is in: what counts
        is how they are to the baselines' batches, in the middle of those that they answer for.
        """
        shares = []
        for name, usual in _USUAL.items():
            try:
                shares.append(self.module.get_batch_size(name) / usual)
            except Exception:
                continue
        return min(max(1, round(statistics.median(shares))), _MOST_BATCHES) if shares else 1

    def init(self, params: Weights, model_state: ModelState, rng: RandomState) -> OptimizerState:
        """The initial optimizer state.

        Raises:
            SubmissionError: it wants another machine than a trial's, where that is known.
        """
        arguments = (self.view, params, model_state, self.hyperparameters, rng)
        try:
            return self.module.init_optimizer_state(*arguments)
        except Exception as error:
            self._explain(error)
            raise

    def select(
        self,
        draws: Iterator[Batch],
        state: OptimizerState,
        params: Weights,
        model: ModelState,
        step: int,
        rng: RandomState,
    ) -> Batch:
        """The batch to train on."""
        return self.module.data_selection(
            self.view, draws, state, params, model, self.hyperparameters, step, rng
        )

    def update(self, seconds: float, **arguments: object) -> Step:
        """(optimizer state, weights, model state) after a step.

        Raises:
            TrainingComplete: the file says that it has trained enough.
        """
        if self._takes_train_state:
            arguments["train_state"] = MappingProxyType(
                {
                    "accumulated_submission_time": seconds,
                    "is_time_remaining": True,
                    "training_complete": False,
                    "validation_goal_reached": False,
                    "test_goal_reached": False,
                }
            )
        try:
            returned = self.module.update_params(**self._common(arguments))
        except TrainingCompleteError as error:
            raise TrainingComplete(" ".join(str(error).split())) from error
        except Exception as error:
            self._explain(error)
            raise
        return _three(returned, "update_params")

    def prepare(self, **arguments: object) -> Step:
        """The same three, ready for an evaluation."""
        return _three(self.module.prepare_for_eval(**self._common(arguments)), "prepare_for_eval")

    def _explain(self, error: Exception) -> None:
        text, what = str(error), ""
        line = traceback.extract_tb(error.__traceback__)[-1].line or ""
        if any(sign in text for sign in _NO_CUDA):
            what = "it uses the device `cuda`; race it with `gpus: 1`"
        elif self.hyperparameters is None and "'NoneType'" in text and "hyperparameters." in line:
            what = f"it needs hyperparameters; put its {SPACE} beside it"
        if what:
            raise SubmissionError(f"{self.view.origin}: {what} ({text})") from error

    def _common(self, arguments: dict[str, object]) -> dict[str, object]:
        view = self.view
        return {
            "workload": view,
            "current_params_types": view.model_params_types,
            "hyperparameters": self.hyperparameters,
            "loss_type": view.loss_type,
            # No submission sees validation here: there are never any.
            "eval_results": [],
            **arguments,
        }


class Scores(dict[str, Tensor]):
    """What `loss_fn` gives; the loss of each example is taken when it is asked for."""

    later: Callable[[], Tensor] | None = None

    def __missing__(self, key: str) -> Tensor:
        if key != "per_example" or self.later is None:
            raise KeyError(key)
        self[key] = self.later()
        return self[key]


def _three(returned: object, name: str) -> Step:
    if not isinstance(returned, tuple | list) or len(returned) != 3:
        what = f"`{name}` must return (optimizer state, weights, model state)"
        raise SubmissionError(f"{what}, not a {type(returned).__name__}")
    return returned[0], returned[1], returned[2]


def _arguments(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)
