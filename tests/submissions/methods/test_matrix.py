"""The matrix methods: their packages' own trajectories, and what is ours around them."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting

import submissions
from submissions.contract import Parameters
from submissions.load import execute, unload
from tests.submissions import problem
from tests.submissions.methods.test_baselines import FLAT, RATE, bare, decayed
from tests.submissions.test_shipped import make

PACKAGES = {
    "soap": lambda p: pytorch_optimizer.SOAP(decayed(p, 0.5), lr=RATE, weight_decay=0.0),
    "psgd_kron": lambda p: pytorch_optimizer.Kron(decayed(p), lr=RATE, precondition_dtype=None),
    "shampoo": lambda p: pytorch_optimizer.ScalableShampoo(
        decayed(p),
        lr=RATE,
        moving_average_for_momentum=True,
        decoupled_weight_decay=True,
        start_preconditioning_step=20,
        preconditioning_compute_steps=20,
        block_size=8,
        graft_type=LayerWiseGrafting.RMSPROP,
        nesterov=False,
    ),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_trajectory_is_the_packages_own(name):
    torch.manual_seed(0)
    np.random.seed(0)
    # The small problem's matrices have fewer entries than the default block, and would be vectors.
    roots = {"frequency": 20, "block_size": 8} if name == "shampoo" else {}
    run = make(name, np.float64, lr=RATE, weight_decay=0.5, **FLAT, **roots)
    run.steps(problem.STEPS)
    params = problem.torch_parameters(np.float64)
    torch.manual_seed(0)
    np.random.seed(0)
    expected = bare(PACKAGES[name](params), params)
    # SOAP's and Shampoo's decompositions amplify rounding.
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, expected[key], atol=2e-6, err_msg=key)


def test_shampoo_is_rmsprop_with_momentum_before_its_first_roots():
    chosen = {"lr": RATE, "weight_decay": 0.0, "frequency": 40, "block_size": 8, **FLAT}
    run = make("shampoo", np.float64, **chosen)
    run.steps(39)
    params = problem.torch_parameters(np.float64)
    m, v = ([torch.zeros_like(p) for p in params] for _ in range(2))
    for _ in range(39):
        gradients = torch.autograd.grad(problem.torch_loss(params), list(params))
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
                v[i].mul_(0.999).add_(0.001 * g**2)
                m[i].lerp_(g / (v[i].sqrt() + 1e-10), 0.1)
                p.sub_(RATE * m[i])
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-9)
    other = make("shampoo", np.float64, **chosen | {"frequency": 39})
    other.steps(39)
    assert np.abs(other.weights()["in.weight"] - run.weights()["in.weight"]).max() > 1e-4


def test_muon_moves_matrices_and_adamw_the_rest():
    run = make("muon", lr=RATE, weight_decay=0.5, **FLAT)
    run.steps(20)
    params = problem.torch_parameters()
    roles = params.roles.items()
    matrices = [params.named[name] for name, role in roles if role == "weight"]
    vectors = [params.named[name] for name, role in roles if role != "weight"]
    muon = torch.optim.Muon(matrices, lr=RATE, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(vectors, lr=RATE, weight_decay=0.0)
    for _ in range(20):
        muon.zero_grad()
        adamw.zero_grad()
        problem.torch_loss(params).backward()
        muon.step()
        adamw.step()
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-5)


def test_muons_twin_differs_by_the_rounding_of_bfloat16_alone():
    chosen = {"lr": RATE, "weight_decay": 0.5, **FLAT}
    left, right = make("muon", **chosen), make("muon_jax", **chosen)
    begin = right.weights()
    left.steps(1)
    right.steps(1)
    for key in ("in.bias", "gain"):  # AdamW's, which rounds to nothing coarser
        np.testing.assert_allclose(right.weights()[key], left.weights()[key], rtol=1e-5)
    left.steps(9)
    right.steps(9)
    for key, array in right.weights().items():
        apart = np.linalg.norm(array - left.weights()[key])
        assert apart < 0.2 * np.linalg.norm(array - begin[key]), key


def test_scions_matrix_step_has_the_spectral_norm_asked_for():
    run = make("scion", lr=1e-3, radius=10.0, **FLAT)
    begin = run.weights()
    run.steps(1)
    step = (run.weights()["in.weight"] - begin["in.weight"]) / 1e-3
    rows, columns = step.shape
    values = np.linalg.svd(step, compute_uv=False) / (10.0 * np.sqrt(rows / columns))
    # Five Newton-Schulz steps bring the singular values near one, not to it.
    assert (values > 0.6).all() and (values < 1.3).all()


def test_scions_heads_step_by_their_momentums_sign_and_vectors_by_its_size():
    roles = {"out.weight": "head", "table": "embedding", "gain": "norm"}
    shapes = {"out.weight": (3, 4), "table": (5, 2), "gain": (6,)}
    generator = torch.Generator().manual_seed(0)
    named = {n: torch.nn.Parameter(torch.randn(s, generator=generator)) for n, s in shapes.items()}
    source = submissions.find("scion")
    module = execute(source)
    chosen = {"lr": 0.1, "one_minus_momentum": 0.25, "head_radius": 6.0, **FLAT}
    made, _ = module.submission(Parameters(named, roles), problem.card(), **chosen)
    unload(source)
    momentum = {name: torch.zeros(shape) for name, shape in shapes.items()}
    for _ in range(3):
        for name, p in named.items():
            p.grad = torch.randn(p.shape, generator=generator)
            momentum[name].lerp_(p.grad, 0.25)
        before = {name: p.detach().clone() for name, p in named.items()}
        made.step()
        for name, m in momentum.items():
            step = m / m.square().mean().sqrt() if name == "gain" else 6 * m.sign() / m.shape[1]
            torch.testing.assert_close(before[name] - named[name].detach(), 0.1 * step)
