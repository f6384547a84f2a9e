"""An average of weights in AlgoPerf's later interface, which tunes itself.

Evaluated at the average, which is also where training goes on from.
"""

import torch
import torch.distributed as dist
from algoperf import spec
from algoperf.pytorch_utils import pytorch_setup

USE_PYTORCH_DDP = pytorch_setup()[0]
HPARAMS = {"learning_rate": 0.1, "label_smoothing": 0.1, "dropout_rate": 0.1}
LAST = 40


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert hyperparameters is None
    assert dist.get_world_size() == 1
    embeddings = [n for n, _ in model_params.named_parameters() if "embedding" in n]
    kinds = workload.model_params_types
    assert embeddings == [n for n, kind in kinds.items() if kind == spec.ParameterType.EMBEDDING]
    shapes = {name: shape.shape_tuple for name, shape in workload.param_shapes.items()}
    assert shapes == {n: tuple(p.shape) for n, p in model_params.named_parameters()}
    return {
        "optimizer": torch.optim.SGD(model_params.parameters(), lr=HPARAMS["learning_rate"]),
        "average": [p.detach().clone() for p in model_params.parameters()],
        "count": 0,
    }


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
    train_state=None,
):
    if global_step >= LAST:
        raise spec.TrainingCompleteError(f"{LAST} steps are enough")
    assert train_state["accumulated_submission_time"] >= 0
    assert len(rng) == 2
    optimizer_state["optimizer"].zero_grad()
    logits, model_state = workload.model_fn(
        current_param_container,
        batch,
        model_state,
        spec.ForwardPassMode.TRAIN,
        rng,
        update_batch_norm=True,
        dropout_rate=HPARAMS["dropout_rate"],
    )
    found = workload.loss_fn(
        batch["targets"], logits, batch.get("weights"), HPARAMS["label_smoothing"]
    )
    (found["summed"] / found["n_valid_examples"]).backward()
    torch.nn.utils.clip_grad_norm_(current_param_container.parameters(), 1.0)
    optimizer_state["optimizer"].step()
    optimizer_state["count"] += 1
    with torch.no_grad():
        for mean, p in zip(
            optimizer_state["average"], current_param_container.parameters(), strict=True
        ):
            mean.lerp_(p, 1 / optimizer_state["count"])
    return optimizer_state, current_param_container, model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    with torch.no_grad():
        for mean, p in zip(
            optimizer_state["average"], current_param_container.parameters(), strict=True
        ):
            p.copy_(mean)
    return optimizer_state, current_param_container, model_state


def get_batch_size(workload_name):
    raise ValueError(workload_name)


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)
