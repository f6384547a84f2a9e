"""What the averages are: those of the weights that a run without them walks through."""

from __future__ import annotations

import numpy as np
import pytest
import schedulefree
import torch

import submissions
from submissions.load import execute, unload
from tests.submissions import problem
from tests.submissions.methods.test_baselines import decayed
from tests.submissions.test_shipped import make

STEPS = 20
CHOSEN = {
    "ema": {"lr": 1e-2, "weight_decay": 0.5, "ema": 0.9},
    "lawa": {"lr": 1e-2, "weight_decay": 0.5, "keep": 3, "every": 0.1, "begin": 0.2},
}


def judged(name, run):
    """What `eval_params` of the file gives of a run."""
    source = submissions.find(name)
    module = execute(source)
    unload(source)
    if source.framework == "jax":
        return {n: np.asarray(a) for n, a in module.eval_params(run.params, run.state).items()}
    known = run.optimizers[0].state
    state = {n: known[p] for n, p in run.params.named.items() if p in known}
    with torch.no_grad():
        averages = module.eval_params(run.params.named, state)
    return {n: a.detach().numpy() for n, a in averages.items()}


def path(base, steps=STEPS):
    run = make(base, np.float64, step_hint=STEPS, lr=1e-2, weight_decay=0.5)
    weights = []
    for _ in range(steps):
        run.steps(1)
        weights.append(run.weights())
    return weights


def test_ema_is_torchs_own():
    run = make("ema", np.float64, step_hint=STEPS, **CHOSEN["ema"])
    run.steps(STEPS)
    holder = torch.nn.ParameterDict()
    averaged = None
    for weights in path("adamw"):
        for name, array in weights.items():
            holder[name.replace(".", "_")] = torch.nn.Parameter(torch.from_numpy(array))
        if averaged is None:
            average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
            averaged = torch.optim.swa_utils.AveragedModel(holder, multi_avg_fn=average)
        averaged.update_parameters(holder)
    for name, array in judged("ema", run).items():
        expected = averaged.module[name.replace(".", "_")].detach().numpy()
        np.testing.assert_allclose(array, expected, rtol=1e-9)
        assert np.any(array != run.weights()[name])


@pytest.mark.parametrize(("steps", "mean_of"), [(20, [16, 18, 20]), (6, [4, 6]), (3, [3])])
def test_lawa_is_the_mean_of_the_last_snapshots(steps, mean_of):
    run = make("lawa", np.float64, step_hint=STEPS, **CHOSEN["lawa"])
    run.steps(steps)
    weights = path("nadamw", steps)
    for name, array in judged("lawa", run).items():
        expected = np.mean([weights[step - 1][name] for step in mean_of], axis=0)
        np.testing.assert_allclose(array, expected, rtol=1e-9)


@pytest.mark.parametrize("name", CHOSEN)
def test_twins_judge_the_same_weights(name):
    import jax

    left = make(name, np.float64, step_hint=STEPS, **CHOSEN[name])
    begin = left.weights()
    with jax.enable_x64(True):
        right = make(f"{name}_jax", np.float64, step_hint=STEPS, **CHOSEN[name])
        for steps in (0, 1, STEPS - 1):
            left.steps(steps)
            right.steps(steps)
            ours, twins = judged(name, left), judged(f"{name}_jax", right)
            for key, array in ours.items():
                np.testing.assert_allclose(twins[key], array, rtol=1e-6, atol=1e-7, err_msg=key)
    assert any(np.any(ours[key] != begin[key]) for key in begin)


def test_schedule_free_radam_is_the_packages_own():
    run = make("schedule_free_radam", np.float64, lr=0.1, weight_decay=0.5)
    run.steps(STEPS)
    params = problem.torch_parameters(np.float64)
    bare = schedulefree.RAdamScheduleFree(decayed(params), lr=0.1)
    bare.train()
    for _ in range(STEPS):
        bare.zero_grad()
        problem.torch_loss(params).backward()
        bare.step()
    run.mode("eval")
    bare.eval()
    for key, array in run.weights().items():
        np.testing.assert_allclose(array, params.named[key].detach().numpy(), rtol=1e-9)
