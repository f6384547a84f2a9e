"""Whether torch schedulers can be stepped to the end of a trial, without training."""

from __future__ import annotations

import warnings

import torch

from cluster.learners.algorithms_torch import OptimizerAlgorithm, make_algorithm
from cluster.learners.contract import Entry
from cluster.learners.run_torch import Run
from submissions.contract import Parameters


def step_to_the_end(entry: Entry, steps: int) -> str | None:
    """Step its schedulers alone; the fault in words, "" if there is none, None without any."""
    run = Run(entry, torch.device("cpu"), entry.workload.torch_model())
    roles = {name: spec.role for name, spec in entry.workload.parameters().items()}
    algorithm = make_algorithm(entry.build(Parameters(run.params, roles)), run)
    if not isinstance(algorithm, OptimizerAlgorithm) or not algorithm.schedulers:
        return None
    loss = torch.ones(())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer does not step between
        for step in range(1, steps + 1):
            for one in algorithm.schedulers:
                try:
                    one.step(loss)
                except Exception as error:
                    name = type(one.scheduler).__name__
                    what = str(error).strip().rstrip(".")
                    return f"{name} fails at step {step}: {type(error).__name__}: {what}"
    return ""
