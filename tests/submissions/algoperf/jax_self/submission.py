"""Schedule-free AdamW in AlgoPerf's later interface: steps are compiled with shardings."""

import jax
import jax.numpy as jnp
import optax
from algoperf import jax_sharding_utils, spec
from optax.contrib import schedule_free_adamw, schedule_free_eval_params

BETA = 0.9


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert hyperparameters is None

    def is_embedding(path, kind):
        return ("embed" in jax.tree_util.keystr(path)) == (kind == spec.ParameterType.EMBEDDING)

    told = jax.tree_util.tree_map_with_path(is_embedding, workload.model_params_types)
    assert all(jax.tree.leaves(told))
    init, update = schedule_free_adamw(0.01, b1=BETA, warmup_steps=5)
    return (init(model_params), jnp.array(0, jnp.int32)), update


def train_step(workload, update, model_state, state, params, batch, rng, smoothing):
    def loss_of(params):
        logits, new_model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=0.1,
        )
        found = workload.loss_fn(batch["targets"], logits, batch.get("weights"), smoothing)
        return found["summed"], (found["n_valid_examples"], new_model_state)

    (_, (count, new_model_state)), grad = jax.value_and_grad(loss_of, has_aux=True)(params)
    grad = jax.tree.map(lambda g: g / count, grad)
    updates, state = update(grad, state, params)
    return state, optax.apply_updates(params, updates), new_model_state


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
    (state, at_average), update = optimizer_state
    params = current_param_container
    if at_average > 0:
        params = jax.tree.map(lambda x, z: BETA * x + (1 - BETA) * z, params, state.z)
    everywhere = jax_sharding_utils.get_replicate_sharding()
    split = jax_sharding_utils.get_batch_dim_sharding()
    step = jax.jit(
        train_step,
        static_argnums=(0, 1),
        donate_argnums=(2, 3, 4),
        in_shardings=(everywhere, everywhere, everywhere, split, everywhere, everywhere),
        out_shardings=(everywhere, everywhere, everywhere),
    )
    state, params, model_state = step(workload, update, model_state, state, params, batch, rng, 0.1)
    return ((state, jnp.array(0, jnp.int32)), update), params, model_state


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
    (state, _), update = optimizer_state
    average = schedule_free_eval_params(state, current_param_container)
    return ((state, jnp.array(1, jnp.int32)), update), average, model_state


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
