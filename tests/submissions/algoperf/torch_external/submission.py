"""NAdamW in AlgoPerf's first interface, tuned from outside."""

from typing import Dict, Iterator, List, Tuple

import torch
import torch.distributed.nn as dist_nn
from absl import logging
from algorithmic_efficiency import spec
from algorithmic_efficiency.pytorch_utils import pytorch_setup
from submissions.submissions_algorithms_v0_5.Team.external_tuning.torch_external.optimizer import (
    make,
)

USE_PYTORCH_DDP, RANK, DEVICE, N_GPUS = pytorch_setup()


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    optimizer = make(model_params.parameters(), hyperparameters)
    linear = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=0.1, total_iters=max(1, int(0.001 * workload.step_hint))
    )
    return {"optimizer": optimizer, "scheduler": linear}


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: Dict[str, spec.Tensor],
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: List[Tuple[int, float]],
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    assert loss_type in spec.LossType
    assert eval_results == []
    model = current_param_container
    model.train()
    optimizer_state["optimizer"].zero_grad()
    logits, new_model_state = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
    )
    found = workload.loss_fn(
        label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights")
    )
    summed, count = found["summed"], found["n_valid_examples"]
    if USE_PYTORCH_DDP:
        summed, count = dist_nn.all_reduce(summed), dist_nn.all_reduce(count)
    (summed / count).backward()
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    if workload.metrics_logger is not None:
        logging.info("%d", global_step)
    return optimizer_state, current_param_container, new_model_state


def get_batch_size(workload_name):
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def data_selection(
    workload: spec.Workload,
    input_queue: Iterator[Dict[str, spec.Tensor]],
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> Dict[str, spec.Tensor]:
    return next(input_queue)
