"""AdamW in AlgoPerf's first interface: arrays with an axis over devices, and older names of JAX."""

import functools

import jax
import jax.numpy as jnp
import optax
from algorithmic_efficiency import spec
from flax import jax_utils
from jax import lax


def init_optimizer_state(
    workload: spec.Workload, model_params, model_state, hyperparameters, rng
) -> spec.OptimizerState:
    zeros = jax.tree_map(lambda s: jnp.zeros(s.shape_tuple), workload.param_shapes)
    init, update = optax.adamw(
        hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    return jax_utils.replicate(init(zeros)), update


@functools.partial(
    jax.pmap,
    axis_name="batch",
    in_axes=(None, None, 0, 0, 0, 0, 0, None),
    static_broadcasted_argnums=(0, 1),
    donate_argnums=(2, 3, 4),
)
def pmapped_train_step(workload, update, model_state, state, params, batch, rng, smoothing):
    def loss_of(params):
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        found = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=smoothing,
        )
        return found["summed"], (found["n_valid_examples"], new_model_state)

    (summed, (count, new_model_state)), grad = jax.value_and_grad(loss_of, has_aux=True)(params)
    summed, count, grad = lax.psum((summed, count, grad), axis_name="batch")
    grad = jax.tree_map(lambda g: jnp.clip(g / count, a_min=-1e3, a_max=1e3), grad)
    updates, state = update(grad, state, params)
    return state, optax.apply_updates(params, updates), new_model_state, summed / count


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
    state, update = optimizer_state
    rngs = jax.random.split(rng, jax.local_device_count())
    smoothing = getattr(hyperparameters, "label_smoothing", 0.0)
    state, params, model_state, loss = pmapped_train_step(
        workload, update, model_state, state, current_param_container, batch, rngs, smoothing
    )
    if global_step % 100 == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss[0]}, global_step)
    return (state, update), params, model_state


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
