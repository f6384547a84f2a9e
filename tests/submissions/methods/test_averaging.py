"""The averaging methods: their packages' own trajectories."""

from __future__ import annotations

import numpy as np
import pytest
import schedulefree

from tests.submissions import problem
from tests.submissions.methods.test_baselines import decayed
from tests.submissions.test_shipped import make

TORCH = {
    "schedule_free_sgd": lambda p: schedulefree.SGDScheduleFree(
        decayed(p), lr=0.1, warmup_steps=10
    ),
    "schedule_free_adamw": lambda p: schedulefree.AdamWScheduleFree(
        decayed(p), lr=0.1, warmup_steps=10
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_trajectory_is_the_packages_own(name):
    run = make(name, np.float64, lr=0.1, weight_decay=0.5, warmup=0.2)
    run.steps(20)
    params = problem.torch_parameters(np.float64)
    bare = TORCH[name](params)
    bare.train()
    for _ in range(20):
        bare.zero_grad()
        problem.torch_loss(params).backward()
        bare.step()
    run.mode("eval")
    bare.eval()
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-9)
