"""A method of both frameworks is one method: its files take the same steps in double precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import submissions
from submissions.load import build, execute, flatten, is_optimizer, unload
from tests.submissions import problem
from tests.submissions.methods.test_curvature import Problem

HORIZON, STEPS = 16, 20  # so that the steps after the horizon are compared, too
ADAMS = {"lr": 1e-2, "weight_decay": 0.5, "warmup": 0.2}
SGDS = {"lr": 0.1, "weight_decay": 1e-3, "warmup": 0.2}
MECHANICS = {"s_init": 1e-3, "s_decay": 0.1, "weight_decay": 0.5}
CHOSEN = {
    "adafactor": [ADAMS, ADAMS | {"lr": 0.5}],  # below and above the cap of its rate, 1/sqrt(t)
    "adam": [{"lr": 1e-2, "warmup": 0.2}],
    "adamw": [ADAMS, ADAMS | {"decay": "constant"}],
    "adamw_cosine": [ADAMS],
    "adamw_linear": [ADAMS],
    "adamw_mup": [ADAMS | {"base_width": 3}],
    "adamw_wsd": [ADAMS],
    "adan": [ADAMS],
    "ademamix": [ADAMS],
    "adopt": [ADAMS],
    "cautious_adamw": [ADAMS],
    "cautious_nadamw": [ADAMS],
    "cocob": [{}],
    "dadapt_adamw": [{"weight_decay": 0.1, "warmup": 0.0, "decay": "constant"}],
    "dog": [{"reps_rel": 1e-3}],
    "dowg": [{"eps": 1e-3}],
    "ema": [ADAMS],
    "l2_init": [{"lr": 1e-2, "strength": 0.1}],
    "lamb": [ADAMS],
    "lawa": [ADAMS],
    "lion": [ADAMS],
    "mechanic_adamw": [MECHANICS],
    "mechanic_nadamw": [MECHANICS],
    "momo": [{"lr": 0.5}],
    "momo_adam": [{"lr": 0.01}],
    "nadamw": [ADAMS, ADAMS | {"decay": "constant"}],
    "nap": [{"base": base, "lr": 0.02, "weight_decay": 0.5} for base in ("sgd", "adamw", "nadamw")],
    "polyak_sgd": [{"max_lr": 3.0, "scaling": 0.5, "f_min": 0.01}],  # above the cap, then below
    "prodigy": [{"weight_decay": 0.1}, {"weight_decay": 0.1, "decay": "constant"}],
    "sam": [SGDS | {"rho": 0.2}],
    "schedule_free_adamw": [ADAMS, ADAMS | {"warmup": 0.0}],
    "schedule_free_sgd": [SGDS, SGDS | {"warmup": 0.0}],
    "sgd": [SGDS, SGDS | {"decay": "constant"}],
    "sgd_armijo": [{"max_lr": 20.0, "sufficient": 0.3, "increase": 1.5, "decrease": 0.8}],
    "shrink_and_perturb": [{"lr": 1e-2, "shrink": 0.1, "perturb": 0.0, "every": 2}],
    "signum": [ADAMS],
    "sophia_g": [ADAMS | {"period": 3}],  # a batch without labels: nothing is drawn
}
ELSEWHERE = {
    "lbfgs": "another line search",
    "muon": "differs by the rounding of bfloat16: test_matrix",
    "sophia": "draws signs; its steps with the same curvature: test_curvature",
    "adamw_autolrs": "single precision: test_searched_schedules",
    "adamw_refined": "test_searched_schedules",
    "redo": "until something is drawn: test_continual",
    "continual_backprop": "until something is drawn: test_continual",
    "homeostat": "test_homeostat",
    "by_angle": "NadamW on what test_data_selection compares",
    "by_length": "NadamW on what test_data_selection compares",
    "by_loss": "NadamW on what test_data_selection compares",
    "by_repetition": "NadamW on what test_data_selection compares",
}


def test_every_method_of_both_frameworks_is_compared():
    shipped = submissions.shipped()
    twins = {name for name in shipped if f"{name}_jax" in shipped}
    assert {*CHOSEN, *ELSEWHERE} == twins


def made(name, params, chosen):
    source = submissions.find(name)
    card = problem.card(HORIZON)
    built = build(execute(source), source, chosen, params=params, card=card)
    unload(source)
    return built


def in_torch(name, chosen):
    params = problem.torch_parameters(np.float64)
    built = made(name, params, chosen)
    if any(map(is_optimizer, flatten(built))):
        problem.TorchRun(params, built).steps(STEPS)
    else:
        with torch.no_grad():
            state = built.init(params.named)
            for _ in range(STEPS):
                state = built.update(params.named, state, {}, Problem())
    return {key: p.detach().numpy() for key, p in params.named.items()}


def in_jax(name, chosen):
    built = made(f"{name}_jax", None, chosen)
    params = {key: jnp.asarray(array) for key, array in problem.arrays(np.float64).items()}

    @jax.jit
    def step(params, state):
        if not isinstance(built, optax.GradientTransformation):
            return built.update(params, state, {}, Problem())
        value, gradient = jax.value_and_grad(problem.jax_loss)(params)
        given = {"value": value}
        if name == "sgd_armijo":
            given |= {"grad": gradient, "value_fn": problem.jax_loss}
        optimizer = optax.with_extra_args_support(built)
        updates, state = optimizer.update(gradient, state, params, **given)
        return optax.apply_updates(params, updates), state

    state = built.init(params)
    for _ in range(STEPS):
        params, state = step(params, state)
    return {key: np.asarray(array) for key, array in params.items()}


@pytest.mark.parametrize(
    ("name", "chosen"), [(name, chosen) for name, points in CHOSEN.items() for chosen in points]
)
def test_twins_take_the_same_steps(name, chosen):
    left = in_torch(name, chosen)
    with jax.enable_x64(True):
        right = in_jax(name, chosen)
    begin = problem.arrays(np.float64)
    moved = max(np.abs(right[key] - begin[key]).max() for key in begin)
    apart = max(np.abs(right[key] - left[key]).max() for key in begin)
    assert apart < 1e-6 * moved
