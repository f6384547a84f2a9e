"""The matrix methods: their packages' own trajectories, and what is ours around them."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting

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
        preconditioning_compute_steps=100,
        graft_type=LayerWiseGrafting.RMSPROP,
        nesterov=False,
    ),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_trajectory_is_the_packages_own(name):
    torch.manual_seed(0)
    np.random.seed(0)
    run = make(name, np.float64, lr=RATE, weight_decay=0.5, **FLAT)
    run.steps(problem.STEPS)
    params = problem.torch_parameters(np.float64)
    torch.manual_seed(0)
    np.random.seed(0)
    expected = bare(PACKAGES[name](params), params)
    # SOAP's and Shampoo's decompositions amplify rounding.
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, expected[key], atol=2e-6, err_msg=key)


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
