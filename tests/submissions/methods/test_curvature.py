"""Line searches, L-BFGS and Sophia: their packages' trajectories, or their formulas."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import submissions
from submissions.load import build, execute, unload
from tests.submissions import problem
from tests.submissions.test_shipped import make


class Problem:
    """The small problem as a submission object sees it."""

    classes = None

    def loss(self, params, batch):
        if isinstance(params["gain"], torch.Tensor):
            named = type("Named", (), {"named": params})
            return problem.torch_loss(named)
        return problem.jax_loss(params)

    def measure(self, params, batch):
        return {"count": 7 * 64}  # of 64 sequences, that is

    def value_and_grad(self, params, batch):
        if not isinstance(params["gain"], torch.Tensor):
            return jax.value_and_grad(problem.jax_loss)(params)
        leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
        with torch.enable_grad():
            value = self.loss(leaves, batch)
            gradients = torch.autograd.grad(value, list(leaves.values()))
        return value.detach(), dict(zip(leaves, gradients, strict=True))


def built(name, params=None, **hyperparameters):
    """What a shipped submission's file makes; in JAX it needs no parameters."""
    source = submissions.find(name)
    made = build(execute(source), source, hyperparameters, params=params, card=problem.card())
    unload(source)
    return made


def walked(name, count, **hyperparameters):
    """The weights after so many steps of a torch submission object, and its state."""
    params = problem.torch_parameters(np.float64)
    made = built(name, params, **hyperparameters)
    with torch.no_grad():
        state = made.init(params.named)
        for _ in range(count):
            state = made.update(params.named, state, {"x": torch.zeros(64)}, Problem())
    return {key: p.detach().numpy() for key, p in params.named.items()}, state


def test_armijos_steps_are_optaxs_own():
    chosen = {"max_lr": 20.0, "sufficient": 0.3, "increase": 1.5, "decrease": 0.8}
    left, state = walked("sgd_armijo", 15, **chosen)
    search = optax.scale_by_backtracking_linesearch(
        100, slope_rtol=0.3, decrease_factor=0.8, increase_factor=1.5, max_learning_rate=20.0
    )
    bare = optax.chain(optax.sgd(1.0), search)
    with jax.enable_x64(True):
        params = {key: jnp.asarray(array) for key, array in problem.arrays(np.float64).items()}
        kept = bare.init(params)
        rates = []

        @jax.jit
        def step(params, kept):
            value, gradient = jax.value_and_grad(problem.jax_loss)(params)
            updates, kept = bare.update(
                gradient, kept, params, value=value, grad=gradient, value_fn=problem.jax_loss
            )
            return optax.apply_updates(params, updates), kept

        for _ in range(15):
            params, kept = step(params, kept)
            rates.append(float(kept[1].learning_rate))
    assert len(set(rates)) > 3
    assert state["lr"] == pytest.approx(rates[-1], rel=1e-9)
    for key, array in left.items():
        np.testing.assert_allclose(array, params[key], rtol=1e-7, atol=1e-9, err_msg=key)


class Broken(Problem):
    """Has no finite loss anywhere but where it is asked first."""

    def loss(self, params, batch):
        return torch.tensor(math.nan)

    def value_and_grad(self, params, batch):
        return Problem().value_and_grad(params, batch)


def test_a_search_that_meets_nothing_but_nan_makes_no_step_and_the_next_goes_on():
    params = problem.torch_parameters(np.float64)
    made = built("sgd_armijo", params)
    before = params.named["gain"].detach().clone()
    with torch.no_grad():
        state = made.update(params.named, {"lr": 0.5}, {}, Broken())
        assert state == {"lr": 0.5}
        assert torch.equal(params.named["gain"], before)
        assert made.update(params.named, state, {}, Problem())["lr"] > 0
    assert not torch.equal(params.named["gain"], before)


def test_the_twins_search_goes_on_after_nan_as_well():
    made = built("sgd_armijo_jax")
    params = {key: jnp.asarray(array) for key, array in problem.arrays().items()}
    value, gradient = jax.value_and_grad(problem.jax_loss)(params)
    state, rates = made.init(params), []
    for loss in (lambda at: jnp.nan * at["gain"].sum(), problem.jax_loss):
        given = {"value": value, "grad": gradient, "value_fn": loss}
        updates, state = made.update(gradient, state, params, **given)
        rates.append(float(state[1].learning_rate))
        moved = any(jnp.any(update != 0) for update in updates.values())
        assert moved == (loss is problem.jax_loss)
    assert rates[0] == 1.0
    assert rates[1] > 0


def test_lbfgs_is_torchs_own_and_needs_far_fewer_steps_than_gradient_descent():
    run = make("lbfgs", np.float64, max_iter=4, history=5, lr=0.5)
    losses = run.steps(8)
    params = problem.torch_parameters(np.float64)
    bare = torch.optim.LBFGS(
        params, lr=0.5, max_iter=4, history_size=5, line_search_fn="strong_wolfe"
    )

    def closure():
        bare.zero_grad()
        loss = problem.torch_loss(params)
        loss.backward()
        return loss.detach()

    for _ in range(8):
        bare.step(closure)
    assert losses[-1] < 0.5 * losses[0]
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-9)


def test_sophia_steps_by_the_papers_formula_with_optaxs_corrections():
    flat = {"warmup": 0.0, "decay": "constant", "lr": 0.01, "weight_decay": 0.5}
    # The same curvature, given to the package.
    seen = []

    def given():
        def update(updates, kept, params=None, **_):
            return seen[kept], kept + 1

        return optax.GradientTransformationExtraArgs(lambda params: 0, update)

    torch.manual_seed(0)
    params = problem.torch_parameters(np.float64)
    made = built("sophia", params, gamma=0.05, period=3, beta2=0.9, **flat)
    looked = made._diagonal

    def noted(*args):
        diagonal = looked(*args)
        seen.append({key: jnp.asarray(value.numpy()) for key, value in diagonal.items()})
        return diagonal

    made._diagonal = noted
    with jax.enable_x64(True):
        with torch.no_grad():
            state = made.init(params.named)
            for _ in range(7):
                state = made.update(params.named, state, {}, Problem())
        matrices = {key: role == "weight" for key, role in problem.ROLES.items()}
        with jax.disable_jit():
            bare = optax.contrib.sophia(
                0.01,
                b2=0.9,
                weight_decay=0.5,
                weight_decay_mask=matrices,
                gamma=0.05,
                update_interval=3,
                hessian_diagonal_fn=given(),
            )
            there = {key: jnp.asarray(array) for key, array in problem.arrays(np.float64).items()}
            kept = bare.init(there)
            for _ in range(7):
                gradient = jax.grad(problem.jax_loss)(there)
                updates, kept = bare.update(gradient, kept, there)
                there = optax.apply_updates(there, updates)
    assert len(seen) == 3
    for key, p in params.named.items():
        np.testing.assert_allclose(p.detach().numpy(), there[key], rtol=1e-7, err_msg=key)


def test_sophias_curvature_is_the_hessians_diagonal_on_average():
    params = problem.torch_parameters(np.float64)
    made = built("sophia", params)
    torch.manual_seed(1)
    total = {key: torch.zeros_like(p) for key, p in params.named.items()}
    for _ in range(200):
        for key, diagonal in made._diagonal(params.named, {}, Problem()).items():
            total[key] += diagonal / 200

    def of_gain(gain):
        return Problem().loss(params.named | {"gain": gain}, {})

    hessian = torch.autograd.functional.hessian(of_gain, params.named["gain"].detach())
    exact = hessian.diagonal().numpy()
    np.testing.assert_allclose(total["gain"].numpy(), exact, atol=0.35 * np.abs(exact).max())


class Labelled:
    """Ten examples of three classes: a linear model of known predictions."""

    classes = 3
    x = np.random.default_rng(0).standard_normal((10, 3))

    def _nats(self, params, batch):
        if isinstance(params["gain"], torch.Tensor):
            logits = torch.from_numpy(self.x) * params["gain"][:3] * 0.5
            return -torch.log_softmax(logits, 1)[torch.arange(10), batch["label"]]
        logits = jnp.asarray(self.x) * params["gain"][:3] * 0.5
        return -jax.nn.log_softmax(logits, 1)[jnp.arange(10), batch["label"]]

    def losses(self, params, batch):
        return self._nats(params, batch)

    def measure(self, params, batch):
        return {"count": len(self.x)}

    def value_and_grad(self, params, batch):
        if not isinstance(params["gain"], torch.Tensor):
            return jax.value_and_grad(lambda at: self._nats(at, batch).mean())(params)
        leaf = params["gain"].detach().requires_grad_()
        with torch.enable_grad():
            value = self._nats(params | {"gain": leaf}, batch).mean()
            (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), {"gain": gradient}


def exact():
    """The Gauss-Newton matrix's diagonal of `Labelled`, which sampled labels give on average."""
    logits = Labelled.x * 0.5
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return ((0.5 * Labelled.x) ** 2 * p * (1 - p)).mean(0)


def test_sophia_gs_curvature_is_gauss_newtons_diagonal_on_average():
    made = built("sophia_g", problem.torch_parameters())
    torch.manual_seed(0)
    params = {"gain": torch.ones(12, dtype=torch.float64)}
    label = {"label": torch.zeros(10, dtype=torch.int32)}
    draws = [made._diagonal(params, label, Labelled())["gain"] for _ in range(400)]
    found = torch.stack(draws).mean(0)[:3]
    np.testing.assert_allclose(found, exact(), rtol=0.3)


def test_sophia_gs_curvature_of_sequences_counts_what_their_mean_is_over():
    _, state = walked("sophia_g", 1, beta2=0.9)
    made = built("sophia_g_jax", beta2=0.9)
    params = {key: jnp.asarray(array) for key, array in problem.arrays().items()}
    _, twins = made.update(params, made.init(params), {"x": jnp.zeros(64)}, Problem())
    for key, gradient in jax.grad(problem.jax_loss)(params).items():
        wanted = 0.1 * 7 * 64 * gradient**2
        np.testing.assert_allclose(state["h"][key], wanted, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(twins[0].nu[key], wanted, rtol=1e-4, atol=1e-7)


def test_sophia_gs_twin_samples_alike():
    made = built("sophia_g_jax")
    params = {"gain": jnp.ones(12)}
    label = {"label": jnp.zeros(10, jnp.int32)}

    @jax.jit
    @jax.vmap
    def diagonal(key):
        sampled = made._sampled(params, label, Labelled(), key)
        return 10 * Labelled().value_and_grad(params, sampled)[1]["gain"] ** 2

    found = diagonal(jax.random.split(jax.random.key(0), 3000)).mean(0)[:3]
    np.testing.assert_allclose(found, exact(), rtol=0.2)


def test_sophia_gs_steps_are_those_of_sophia_with_its_own_curvature():
    torch.manual_seed(0)
    found, _ = walked("sophia_g", 1, warmup=0.0, decay="constant", lr=0.01, weight_decay=0.5)
    # One step without curvature is the sign of the gradient.
    before = problem.arrays(np.float64)
    _, gradient = Problem().value_and_grad(
        {key: torch.from_numpy(array) for key, array in before.items()}, {"x": torch.zeros(64)}
    )
    for key, array in found.items():
        decay = 0.5 if problem.ROLES[key] == "weight" else 0.0
        step = 0.01 * (np.sign(gradient[key].numpy()) + decay * before[key])
        np.testing.assert_allclose(array, before[key] - step, rtol=1e-9)
