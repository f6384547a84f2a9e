"""The methods that find their own rate: each walks its package's own trajectory."""

from __future__ import annotations

import dadaptation
import dog
import momo
import numpy as np
import parameterfree
import pytest
import torch

from tests.submissions import problem
from tests.submissions.methods.test_averages import judged
from tests.submissions.test_shipped import make

# A choice of hyperparameters unlike the defaults, and the package's call that it means.
FLAT = {"warmup": 0.0, "decay": "constant"}
OPTAX = {
    "dadapt_adamw_jax": (
        {"lr": 2.0, "weight_decay": 0.1, **FLAT},
        lambda o: o.contrib.dadapt_adamw(2.0, weight_decay=0.1),
    ),
    "dog_jax": ({"reps_rel": 1e-3}, lambda o: o.contrib.dog(1.0, ("heuristic", 1e-3))),
    "dowg_jax": ({"eps": 1e-3}, lambda o: o.contrib.dowg(1.0, eps=1e-3)),
    "mechanic_adamw_jax": (
        {"s_init": 1e-3, "s_decay": 0.1, **FLAT},
        lambda o: o.contrib.mechanize(o.adamw(1.0, weight_decay=0.0), 0.1, s_init=1e-3),
    ),
    "mechanic_nadamw_jax": (
        {"s_init": 1e-3, "s_decay": 0.1, **FLAT},
        lambda o: o.contrib.mechanize(o.nadamw(1.0, weight_decay=0.0), 0.1, s_init=1e-3),
    ),
    "momo_jax": (
        {"lr": 0.5, "one_minus_beta": 0.2, "lower_bound": 0.01, "weight_decay": 0.1},
        lambda o: o.contrib.momo(0.5, 0.8, lower_bound=0.01, weight_decay=0.1),
    ),
    "momo_adam_jax": (
        {"lr": 0.5, "beta2": 0.99, "lower_bound": 0.01, "weight_decay": 0.1},
        lambda o: o.contrib.momo_adam(0.5, b2=0.99, lower_bound=0.01, weight_decay=0.1),
    ),
    "cocob_jax": ({"alpha": 50.0}, lambda o: o.contrib.cocob(alpha=50.0)),
    "polyak_sgd_jax": (
        {"max_lr": 0.3, "scaling": 0.5, "f_min": 0.01},
        lambda o: o.polyak_sgd(0.3, scaling=0.5, f_min=0.01),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_the_trajectory_is_optaxs_own(name):
    import jax
    import jax.numpy as jnp
    import optax

    chosen, package = OPTAX[name]
    bare = optax.with_extra_args_support(package(optax))

    @jax.jit
    def step(params, state):
        loss, gradient = jax.value_and_grad(problem.jax_loss)(params)
        updates, state = bare.update(gradient, state, params, value=loss)
        return optax.apply_updates(params, updates), state

    with jax.enable_x64(True):
        run = make(name, np.float64, **chosen)
        run.steps(20)
        params = begin = {k: jnp.asarray(v) for k, v in problem.arrays(np.float64).items()}
        state = bare.init(params)
        for _ in range(20):
            params, state = step(params, state)
    for key, array in run.weights().items():
        assert np.any(array != np.asarray(begin[key]))
        np.testing.assert_allclose(array, params[key], rtol=1e-9, atol=1e-12, err_msg=key)


TORCH = {
    "dadapt_adamw": (
        {"lr": 2.0, "weight_decay": 0.1, **FLAT},
        lambda p: dadaptation.DAdaptAdam(
            p, lr=2.0, weight_decay=0.1, decouple=True, use_bias_correction=True
        ),
    ),
    "dadapt_sgd": (
        {"lr": 0.5, "one_minus_momentum": 0.2, "weight_decay": 0.1, **FLAT},
        lambda p: dadaptation.DAdaptSGD(p, lr=0.5, momentum=0.8, weight_decay=0.1),
    ),
    "dog": (
        {"reps_rel": 1e-3, "weight_decay": 0.1},
        lambda p: dog.DoG(p, 1e-3, weight_decay=0.1),
    ),
    "momo": (
        {"lr": 0.5, "one_minus_beta": 0.2, "lower_bound": 0.01, "weight_decay": 0.1},
        lambda p: momo.Momo(p, 0.5, 0.1, beta=0.8, lb=0.01),
    ),
    "momo_adam": (
        {"lr": 0.5, "beta2": 0.99, "lower_bound": 0.01, "weight_decay": 0.1},
        lambda p: momo.MomoAdam(p, 0.5, (0.9, 0.99), weight_decay=0.1, lb=0.01),
    ),
    "cocob": ({"alpha": 50.0}, lambda p: parameterfree.COCOB(p, alpha=50.0)),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_trajectory_is_the_torch_packages_own(name):
    chosen, package = TORCH[name]
    run = make(name, np.float64, **chosen)
    begin = run.weights()
    run.steps(20)
    params = problem.torch_parameters(np.float64)
    bare = package(params)
    for _ in range(20):
        bare.zero_grad()
        loss = problem.torch_loss(params)
        loss.backward()
        bare.step(loss=loss.detach()) if name.startswith("momo") else bare.step()
    for key, array in run.weights().items():
        assert np.any(array != begin[key])
        expected = params.named[key].detach().numpy()
        np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12, err_msg=key)


def test_dog_is_judged_by_the_packages_average():
    run = make("dog", np.float64, reps_rel=1e-3)
    params = problem.torch_parameters(np.float64)
    holder = torch.nn.ParameterDict({name.replace(".", "_"): p for name, p in params.named.items()})
    bare, averager = dog.DoG(params, 1e-3), dog.PolynomialDecayAverager(holder)
    for _ in range(20):
        bare.zero_grad()
        problem.torch_loss(params).backward()
        bare.step()
        averager.step()
    run.steps(20)
    for name, array in judged("dog", run).items():
        expected = averager.averaged_model[name.replace(".", "_")].detach().numpy()
        np.testing.assert_allclose(array, expected, rtol=1e-9)
        assert np.any(array != run.weights()[name])


def test_dadapt_sgd_at_its_packages_defaults_ends_in_nan_and_here_goes_on_past_the_horizon():
    params = problem.torch_parameters()
    bare = dadaptation.DAdaptSGD(params)
    for _ in range(120):
        bare.zero_grad()
        problem.torch_loss(params).backward()
        bare.step()
    assert not all(bool(torch.isfinite(p).all()) for p in params)
    assert np.isfinite(make("dadapt_sgd", step_hint=60).steps(120)).all()
