"""The schedules: their rates step by step, and the packages' own steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.submissions import problem
from tests.submissions.methods.test_baselines import decayed
from tests.submissions.test_shipped import make

RATE = 0.02
# The rate after a warm-up of 4 of 20 steps, by the step.
TAILS = {
    "adamw_linear": lambda k: max(0.0, (20 - k) / 16),
    "adamw_cosine": lambda k: 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, (k - 4) / 16))),
    "adamw_wsd": lambda k: 1.0 if k < 16 else 1 - math.sqrt(min(1.0, (k - 16) / 4)),
}


def factors(name, count):
    return [(k + 1) / 4 if k < 4 else TAILS[name](k) for k in range(count)]


@pytest.mark.parametrize("name", TAILS)
def test_the_rate_follows_its_formula_and_the_steps_are_the_packages_own(name):
    run = make(name, np.float64, step_hint=20, lr=RATE, warmup=0.2, weight_decay=0.5)
    params = problem.torch_parameters(np.float64)
    plain = torch.optim.AdamW(decayed(params), lr=RATE, weight_decay=0.0)
    for factor in factors(name, 23):
        np.testing.assert_allclose(run.rates(), RATE * factor, atol=1e-12)
        run.steps(1)
        for group in plain.param_groups:
            group["lr"] = RATE * factor
        plain.zero_grad()
        problem.torch_loss(params).backward()
        plain.step()
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-9)
