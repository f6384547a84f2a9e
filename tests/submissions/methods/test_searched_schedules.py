"""Schedules made on the way: by refinement of a first run, and by AutoLRS's search."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import submissions
from submissions.load import build, execute, unload
from tests.submissions import problem
from tests.submissions.methods.test_curvature import Problem


def built(name, step_hint=problem.STEPS, **hyperparameters):
    source = submissions.find(name)
    module = execute(source)
    params = problem.torch_parameters(np.float64) if source.framework == "torch" else None
    made = build(module, source, hyperparameters, params=params, card=problem.card(step_hint))
    unload(source)
    return module, made, params


def walked(made, params, count):
    """The state of a torch object after so many steps, and the rate and weights of each."""
    rates, weights = [], []
    with torch.no_grad():
        state = made.init(params.named)
        for _ in range(count):
            tried = state.get("tried")
            state = made.update(params.named, state, {}, Problem())
            group = state["adam"].param_groups[0]
            rates.append(made._rate(tried[-1]) if tried else group["lr"])
            weights.append({name: p.detach().clone() for name, p in params.named.items()})
    return state, rates, weights


def by_formula(norms, smoothing):
    """The paper's schedule in plain sums."""
    half = int(smoothing * len(norms) / 2)
    padded = np.concatenate([norms[:1].repeat(half), norms[::-1][1 : half + 1]])
    padded = np.concatenate([padded[:half], norms, padded[half:]])
    smooth = [np.median(padded[t : t + 2 * half + 1]) for t in range(len(norms))]
    w = 1 / np.array(smooth)
    rates = [w[t] * sum(w[t + 1 :]) for t in range(len(w))]
    return np.array(rates) / max(rates)


@pytest.mark.parametrize("name", ["adamw_refined", "adamw_refined_jax"])
@pytest.mark.parametrize(
    ("norms", "smoothing"),
    [
        (np.ones(20), 0.1),
        (np.where(np.arange(40) < 4, 5.0, 1.0), 0.0),
        (np.random.default_rng(0).lognormal(size=50), 0.2),
    ],
)
def test_the_refined_rates_are_the_papers(name, norms, smoothing):
    module, *_ = built(name)
    with jax.enable_x64(True):
        given = torch.from_numpy(norms) if name == "adamw_refined" else jnp.asarray(norms)
        rates = np.asarray(module.refined(given, smoothing))
    np.testing.assert_allclose(rates, by_formula(norms, smoothing), rtol=1e-9, atol=1e-12)


def test_constant_norms_refine_to_a_linear_fall():
    module, *_ = built("adamw_refined")
    rates = module.refined(torch.ones(10, dtype=torch.float64), 0.1).numpy()
    np.testing.assert_allclose(rates, np.arange(9, -1, -1) / 9)


def test_the_second_run_begins_at_the_start_and_is_adamw_under_the_refined_rates():
    _, made, params = built("adamw_refined", step_hint=40, lr=0.02, first=0.25, weight_decay=0.5)
    start = {name: p.detach().clone() for name, p in params.named.items()}
    state, rates, weights = walked(made, params, 40)
    assert rates[9] == pytest.approx(0.02 * (1 - 8 / 9))
    bare = problem.torch_parameters(np.float64)
    for name, p in bare.named.items():
        assert torch.equal(p, start[name])
    groups = [
        {"params": bare.of("weight"), "weight_decay": 0.5},
        {"params": bare.of("bias", "norm"), "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups)
    expected = by_formula(state["norms"].numpy(), 0.1)
    for step in range(10, 40):
        rate = 0.02 * np.interp((step - 10) / 29 * 9, np.arange(10), expected)
        assert rates[step] == pytest.approx(rate, rel=1e-5, abs=1e-7)
        for group in adam.param_groups:
            group["lr"] = rates[step]
        adam.zero_grad()
        problem.torch_loss(bare).backward()
        adam.step()
        for name, p in bare.named.items():
            torch.testing.assert_close(weights[step][name], p.detach(), rtol=1e-9, atol=1e-12)


def test_refined_twins_take_the_same_steps():
    chosen = {"step_hint": 40, "lr": 0.02, "first": 0.25, "weight_decay": 0.5}
    _, made, params = built("adamw_refined", **chosen)
    _, _, weights = walked(made, params, 40)
    with jax.enable_x64(True):
        _, made, _ = built("adamw_refined_jax", **chosen)
        there = {key: jnp.asarray(array) for key, array in problem.arrays(np.float64).items()}
        state = made.init(there)
        step = jax.jit(lambda params, state: made.update(params, state, {}, Problem()))
        for k in range(40):
            there, state = step(there, state)
            if k in (9, 10, 39):
                for key, array in weights[k].items():
                    # The norms are kept in single precision in torch.
                    np.testing.assert_allclose(array, there[key], rtol=1e-5, atol=1e-7)


AUTOLRS = {"step_hint": 200, "candidates": 4, "share": 0.25, "first": 0.03, "most": 0.06}


def test_a_search_costs_its_trials_and_goes_back_to_its_checkpoint():
    _, made, params = built("adamw_autolrs", **AUTOLRS)
    start = {name: p.detach().clone() for name, p in params.named.items()}
    state, rates, weights = walked(made, params, 49)
    # Four trials of six steps, a stage of four times as many, and the next search of twelve each.
    assert len(set(rates[:24])) == 4
    assert rates[0] == pytest.approx(1e-3)
    assert len(set(rates[24:48])) == 1
    assert rates[24] in rates[:24]
    assert (state["searching"], state["length"], state["step"]) == (True, 12, 1)
    bare = problem.torch_parameters(np.float64)
    groups = [
        {"params": bare.of("weight"), "weight_decay": 0.01},
        {"params": bare.of("bias", "norm"), "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=rates[24])
    for name, p in bare.named.items():
        assert torch.equal(p, start[name])
    for step in range(24, 48):
        adam.zero_grad()
        problem.torch_loss(bare).backward()
        adam.step()
        for name, p in bare.named.items():
            torch.testing.assert_close(weights[step][name], p.detach(), rtol=1e-9, atol=1e-12)
    judged = made.eval_params(params.named, state)
    assert all(torch.equal(judged[name], weights[47][name]) for name in judged)


def test_a_search_continues_from_a_kept_state():
    _, made, params = built("adamw_autolrs", **AUTOLRS)
    state, _, _ = walked(made, params, 31)
    kept = copy.deepcopy({key: value for key, value in state.items() if key != "adam"})
    adam = copy.deepcopy(state["adam"].state_dict())
    saved = {name: p.detach().clone() for name, p in params.named.items()}
    _, other, again = built("adamw_autolrs", **AUTOLRS)
    with torch.no_grad():
        for name, p in again.named.items():
            p.copy_(saved[name])
        there = kept | {"adam": other.init(again.named)["adam"]}
        there["adam"].load_state_dict(adam)
        for _ in range(40):
            state = made.update(params.named, state, {}, Problem())
            there = other.update(again.named, there, {}, Problem())
    assert state["told"] == there["told"]
    assert all(torch.equal(p, again.named[name]) for name, p in params.named.items())


def test_forecasts_follow_an_exponential_and_refuse_what_is_not_finite():
    module, *_ = built("adamw_autolrs")
    losses = [2.0 * 0.95**k + 1.0 for k in range(20)]
    assert module.forecast(losses, 200) == pytest.approx(1.0, abs=0.25)
    assert module.forecast(losses, 200) < module.forecast([3.0 - 0.01 * k for k in range(20)], 20)
    assert module.forecast([1.0, float("nan")], 10) == module.SPOILT
    spoilt = [*losses]
    spoilt[5] = 9.0
    many = [2.0 * 0.99**k + 1.0 for k in range(100)]
    outlier = [*many]
    outlier[20] = 9.0
    assert module.forecast(outlier, 1000) == pytest.approx(module.forecast(many, 1000), abs=0.1)


def test_proposals_explore_far_from_what_is_known_or_follow_the_forecasts():
    module, *_ = built("adamw_autolrs")
    assert module.proposal([0.5], [1.0], 1e6) in (0.0, 1.0)
    tried, told = [0.0, 0.25, 0.5, 0.75, 1.0], [3.0, 1.0, 0.5, 1.0, 3.0]
    assert abs(module.proposal(tried, told, 0.0) - 0.5) < 0.1


def test_the_searchs_twin_tries_the_same_rates_for_as_long():
    _, made, params = built("adamw_autolrs", **AUTOLRS)
    _, rates, weights = walked(made, params, 60)
    _, other, _ = built("adamw_autolrs_jax", **AUTOLRS)
    there = {key: jnp.asarray(array) for key, array in problem.arrays().items()}
    state = other.init(there)
    step = jax.jit(lambda params, state: other.update(params, state, {}, Problem()))
    for k in range(60):
        place = state["tried"][state["told"] if state["searching"] else 0]
        assert 1e-4 * 100 ** float(place) == pytest.approx(rates[k], rel=1e-4)
        there, state = step(there, state)
        for key, array in weights[k].items():
            np.testing.assert_allclose(array, there[key], rtol=1e-2, atol=2e-3)
    judged = other.eval_params(there, state)
    assert all(np.array_equal(judged[key], state["weights"][key]) for key in judged)
