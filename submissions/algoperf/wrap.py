"""From the functions of an executed AlgoPerf file to a submission object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from submissions.algoperf.calls import Calls
from submissions.algoperf.facts import has_device_axis, wants_process_group
from submissions.contract import SubmissionError

if TYPE_CHECKING:
    from scoring.ground.words import Scalar
    from submissions.contract import Card, Parameters
    from submissions.source import Source


def make_submission(
    module: ModuleType, source: Source, texts: Mapping[str, str]
) -> Callable[..., object]:
    """The `submission` function that stands for the file.

    `texts` are all of its files by their paths.
    """
    origin = source.origin
    first: dict[str, Any] = {}

    def submission(workload: Card, params: Parameters | None = None, **chosen: Scalar) -> object:
        hyperparameters: dict[str, Any] = {**source.defaults, **chosen}
        if not workload.supervised:
            what = "an AlgoPerf file needs labelled batches, and this workload has none"
            raise SubmissionError(f"{origin}: {what}; race it on a supervised workload")
        if source.framework == "torch":
            from submissions.algoperf.wrap_torch import TorchAlgoperf, TorchView

            calls = Calls(module, TorchView(workload, origin), hyperparameters)
            return TorchAlgoperf(calls, workload, wants_process_group(texts))
        from submissions.algoperf.wrap_jax import JaxAlgoperf, JaxView

        # The view and the update function of the first build serve all others, for what was
        # compiled with them is found by them.
        if "view" not in first:
            first["view"] = JaxView(workload, origin, has_device_axis(texts))
        calls = Calls(module, first["view"], hyperparameters)
        return JaxAlgoperf(calls, workload, first)

    return submission
