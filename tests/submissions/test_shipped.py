"""Every shipped submission: static facts, building, training, and resuming."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest

import submissions
from submissions.contract import SubmissionError
from submissions.load import build, execute, unload
from tests.submissions import problem

SHIPPED = submissions.shipped()
TORCH = [name for name in SHIPPED if submissions.find(name).framework == "torch"]
JAX = [name for name in SHIPPED if submissions.find(name).framework == "jax"]
# Optimizers and transformations; other shapes of submission are tested with their own file.
OBJECTS = ("homeostat", "lrh", "sam_jax", "redo", "continual_backprop")
OBJECTS += ("sophia", "sgd_armijo", "lbfgs_jax")  # or ask for the objective
OBJECTS += ("adamw_refined", "adamw_autolrs", "by_repetition", "by_angle_jax")
PLAIN = [name for name in SHIPPED if not name.startswith(OBJECTS)]
# Rates that suit the small problem, where a package's default is meant for larger ones.
RATES = {"sgd": 0.1, "sgd_jax": 0.1, "schedule_free_adamw": 0.03, "sam": 0.1}
RATES |= dict.fromkeys(("schedule_free_sgd", "schedule_free_sgd_jax"), 0.1)
RATES |= dict.fromkeys(("schedule_free_adamw_jax", "schedule_free_radam"), 0.03)
RATES |= dict.fromkeys(("lion", "lion_jax", "signum", "signum_jax"), 0.001)
RATES |= dict.fromkeys(("lamb", "lamb_jax", "shampoo"), 0.01)
RATES |= dict.fromkeys(("muon", "muon_jax", "psgd_kron"), 0.05)
RATES |= dict.fromkeys(("nap", "nap_jax", "l2_init", "l2_init_jax"), 0.02)
RATES |= dict.fromkeys(("shrink_and_perturb", "shrink_and_perturb_jax"), 0.02)
# Blocks and periods at which a short run on small matrices has Shampoo's roots.
ROOTS = {"shampoo": {"frequency": 5, "block_size": 8}}
GROWING = ("prodigy", "dadapt", "dog", "dowg", "mechanic", "cocob")
# The other JAX files pass the tests that compile only when slow tests run.
OFTEN = ("sgd_jax", "adamw_jax", "nadamw_jax", "prodigy_jax")


def marked(names):
    slow = {name for name in names if name in JAX and name not in OFTEN}
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


def make(name, dtype=np.float32, step_hint=problem.STEPS, **hyperparameters):
    source = submissions.find(name)
    module = execute(source)
    try:
        params = problem.torch_parameters(dtype) if source.framework == "torch" else None
        card = problem.card(step_hint)
        built = build(module, source, hyperparameters, params=params, card=card)
    finally:
        unload(source)
    if params is not None:
        return problem.TorchRun(params, built)
    import jax.numpy as jnp

    return problem.JaxRun({k: jnp.asarray(v) for k, v in problem.arrays(dtype).items()}, built)


def test_both_frameworks_ship_the_methods_that_the_readme_promises():
    promised = {"sgd", "adamw", "nadamw_jax", "schedule_free_adamw", "prodigy"}
    assert promised <= set(SHIPPED)
    assert {"sgd_jax", "adamw_jax", "nadamw_jax", "prodigy_jax"} <= set(JAX)
    assert {"sgd", "adamw", "nadamw", "schedule_free_adamw", "prodigy"} <= set(TORCH)


@pytest.mark.parametrize("name", SHIPPED)
def test_static_facts_hold_of_the_running_function(name):
    source = submissions.find(name)
    assert source.name == name
    assert source.summary.endswith(".")
    module = execute(source)
    signature = inspect.signature(module.submission)
    assert source.arguments == tuple(signature.parameters)
    for hyperparameter, default in source.defaults.items():
        assert signature.parameters[hyperparameter].default == default
    unload(source)


@pytest.mark.parametrize("name", marked(PLAIN))
def test_training_lowers_the_loss(name):
    rate = {"lr": RATES[name]} if name in RATES else {}
    # Estimates that grow from 1e-6 need a hundred steps to begin.
    steps = 200 if name.startswith(GROWING) else 30
    losses = make(name, step_hint=steps, **rate).steps(steps)
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("name", marked(PLAIN))
def test_every_corner_of_the_search_space_builds_and_stays_finite(name):
    space = submissions.find(name).space
    for u in (0.0, 0.999):
        run = make(name, **space.at([u] * len(space.names)))
        assert np.isfinite(run.steps(3)).all()


@pytest.mark.parametrize("name", [name for name in PLAIN if name in TORCH])
def test_a_torch_state_dict_continues_bit_identically(name):
    import torch

    first = make(name, **ROOTS.get(name, {}))
    first.steps(10)
    saved = first.weights()
    drawn = torch.get_rng_state(), np.random.get_state()  # a trial's checkpoint keeps these too
    states = copy.deepcopy([part.state_dict() for part in first.parts])
    expected = first.steps(10)

    second = make(name, **ROOTS.get(name, {}))
    with torch.no_grad():
        for key, array in saved.items():
            second.params.named[key].copy_(torch.from_numpy(array))
    for part, state in zip(second.parts, states, strict=True):
        part.load_state_dict(state)
    torch.set_rng_state(drawn[0])
    np.random.set_state(drawn[1])
    assert second.steps(10) == expected
    for key, array in first.weights().items():
        np.testing.assert_array_equal(second.weights()[key], array)


@pytest.mark.parametrize("name", marked([name for name in PLAIN if name in JAX]))
def test_an_optax_state_continues_bit_identically_through_numpy(name):
    import jax
    import jax.numpy as jnp

    first = make(name)
    first.steps(10)
    saved = first.weights()
    leaves = [np.array(leaf) for leaf in jax.tree.leaves(first.state)]
    expected = first.steps(10)

    second = make(name)
    second.params = {key: jnp.asarray(array) for key, array in saved.items()}
    structure = jax.tree.structure(second.state)
    second.state = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])
    assert second.steps(10) == expected
    for key, array in first.weights().items():
        np.testing.assert_array_equal(second.weights()[key], array)


@pytest.mark.parametrize("name", [name for name in TORCH if f"{name}_jax" in JAX])
def test_twins_share_the_ranges_and_defaults_of_what_both_have(name):
    left, right = submissions.find(name), submissions.find(f"{name}_jax")
    for hyperparameter in set(left.hyperparameters) & set(right.hyperparameters):
        assert left.defaults[hyperparameter] == right.defaults[hyperparameter], hyperparameter
        ranges = (source.space.dimensions.get(hyperparameter) for source in (left, right))
        assert len(set(ranges)) == 1, hyperparameter


@pytest.mark.parametrize("name", [name for name in TORCH if name in ("sgd", "adamw", "prodigy")])
def test_the_rate_rises_to_its_peak_and_falls_to_zero(name):
    peak = 1.0 if name == "prodigy" else 0.02
    rate = {} if name == "prodigy" else {"lr": peak}
    run = make(name, step_hint=20, warmup=0.2, **rate)
    rates = []
    for _ in range(22):
        rates.append(run.rates()[0])
        run.steps(1)
    expected = [(k + 1) / 4 for k in range(4)]
    expected += [(1 + np.cos(np.pi * (k - 4) / 16)) / 2 for k in range(4, 20)] + [0.0, 0.0]
    np.testing.assert_allclose(rates, peak * np.array(expected), atol=1e-9)


@pytest.mark.parametrize("name", ["adamw", "adamw_jax", "nadamw_jax", "nadamw"])
def test_decoupled_weight_decay_moves_weight_matrices_alone(name):
    without = make(name, lr=1e-2, weight_decay=0.0)
    decayed = make(name, lr=1e-2, weight_decay=1.0)
    without.steps(1)
    decayed.steps(1)
    for key, role in problem.ROLES.items():
        same = np.array_equal(without.weights()[key], decayed.weights()[key])
        assert same == (role != "weight"), key


def test_schedule_free_is_evaluated_elsewhere_than_it_trains():
    run = make("schedule_free_adamw", lr=0.03)
    run.steps(10)
    training = run.weights()
    run.mode("eval")
    averaged = run.weights()
    run.mode("train")
    assert any(not np.allclose(training[key], averaged[key], atol=1e-4) for key in training)
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, training[key], atol=1e-6)


def test_an_unlisted_decay_is_refused_when_the_submission_is_built():
    for name in ("adamw", "adamw_jax"):
        with pytest.raises(SubmissionError, match=r"adamw.*\.py:\d+: KeyError: 'cosin'"):
            make(name, decay="cosin")
