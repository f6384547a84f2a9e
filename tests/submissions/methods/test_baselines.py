"""The baselines: their packages' own trajectories, or their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_optimizer
import torch

from tests.submissions import problem
from tests.submissions.test_shipped import make

FLAT = {"warmup": 0.0, "decay": "constant"}
RATE = 1e-2


def bare(optimizer, params, steps=problem.STEPS):
    """The weights after a loop without anything of ours."""
    for _ in range(steps):
        optimizer.zero_grad()
        problem.torch_loss(params).backward()
        optimizer.step()
    return {name: p.detach().numpy() for name, p in params.named.items()}


def decayed(params, weight_decay=0.5):
    roles = params.roles.items()
    matrices = [params.named[name] for name, role in roles if role == "weight"]
    rest = [params.named[name] for name, role in roles if role != "weight"]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest}]


PACKAGES = {
    "adafactor": lambda p: torch.optim.Adafactor(decayed(p), lr=RATE),
    "lion": lambda p: pytorch_optimizer.Lion(decayed(p), lr=RATE, betas=(0.9, 0.99)),
    "signum": lambda p: pytorch_optimizer.SignSGD(decayed(p), lr=RATE, momentum=0.9),
    "adan": lambda p: pytorch_optimizer.Adan(decayed(p), lr=RATE, betas=(0.98, 0.92, 0.99)),
    "ademamix": lambda p: pytorch_optimizer.AdEMAMix(
        decayed(p), lr=RATE, t_alpha_beta3=problem.STEPS, weight_decouple=True
    ),
    "mars": lambda p: pytorch_optimizer.MARS(decayed(p), lr=RATE, weight_decay_1d=0.0),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_trajectory_is_the_packages_own(name):
    run = make(name, np.float64, lr=RATE, weight_decay=0.5, **FLAT)
    run.steps(problem.STEPS)
    params = problem.torch_parameters(np.float64)
    expected = bare(PACKAGES[name](params), params)
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, expected[key], rtol=1e-9, atol=1e-12, err_msg=key)


def test_sam_steps_by_the_gradient_a_radius_uphill():
    run = make("sam", np.float64, lr=0.1, rho=0.2, one_minus_momentum=0.1, **FLAT)
    run.steps(10)
    params = problem.torch_parameters(np.float64)
    base = torch.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(10):
        gradients = torch.autograd.grad(problem.torch_loss(params), list(params))
        size = torch.sqrt(sum((g**2).sum() for g in gradients))
        before = [p.detach().clone() for p in params]
        with torch.no_grad():
            for p, g in zip(params, gradients, strict=True):
                p.add_(0.2 * g / size)
        base.zero_grad()
        problem.torch_loss(params).backward()
        with torch.no_grad():
            for p, old in zip(params, before, strict=True):
                p.copy_(old)
        base.step()
    for key, array in run.weights().items():
        # The package takes the norm in single precision.
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), atol=1e-7)


def test_cautious_adamw_is_the_papers_formula():
    run = make("cautious_adamw", np.float64, lr=RATE, weight_decay=0.5, **FLAT)
    run.steps(problem.STEPS)
    params = problem.torch_parameters(np.float64)
    moments = {name: [torch.zeros_like(p), torch.zeros_like(p)] for name, p in params.named.items()}
    masked = 0
    for t in range(1, problem.STEPS + 1):
        gradients = torch.autograd.grad(problem.torch_loss(params), list(params))
        with torch.no_grad():
            for (name, p), g in zip(params.named.items(), gradients, strict=True):
                m, v = moments[name]
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                agrees = (m * g > 0).double()
                masked += int((1 - agrees).sum())
                u = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
                shrink = 1 - RATE * 0.5 * (params.roles[name] == "weight")
                p.mul_(shrink).sub_(RATE * u * agrees / max(float(agrees.mean()), 1e-3))
    assert masked > 0
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-7)


def test_adopt_clips_at_the_fourth_root_of_the_steps_before():
    run = make("adopt", np.float64, lr=RATE, weight_decay=0.0, beta2=0.9, **FLAT)
    run.steps(problem.STEPS)
    params = problem.torch_parameters(np.float64)
    m = [torch.zeros_like(p) for p in params]
    v = [torch.zeros_like(p) for p in params]
    for t in range(problem.STEPS):
        gradients = torch.autograd.grad(problem.torch_loss(params), list(params))
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
                if t > 0:
                    u = (g / v[i].sqrt().clamp(min=1e-6)).clamp(-(t**0.25), t**0.25)
                    m[i].mul_(0.9).add_(0.1 * u)
                    p.sub_(RATE * m[i])
                v[i] = 0.9 * v[i] + 0.1 * g**2 if t > 0 else g**2
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-7)


def test_sgd_without_momentum_is_plain_descent():
    run = make("sgd", np.float64, lr=0.1, one_minus_momentum=1.0, **FLAT)
    run.steps(5)
    params = problem.torch_parameters(np.float64)
    expected = bare(torch.optim.SGD(params, lr=0.1), params, 5)
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, expected[key], rtol=1e-12)
