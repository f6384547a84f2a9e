"""Rates and weight decay by width."""

from __future__ import annotations

import pytest

from tests.submissions.test_shipped import make


def test_at_the_base_width_it_is_adamw():
    import torch

    run = make("adamw_mup", lr=1e-2, weight_decay=0.0, base_width=6, warmup=0.0, decay="constant")
    rates = {
        id(p): (group["lr"], group["weight_decay"])
        for group in run.optimizers[0].param_groups
        for p in group["params"]
    }
    # fan_in is 6 in the first matrix, 12 in the second.
    named = run.params.named
    assert rates[id(named["in.weight"])] == (1e-2, 0.0)
    assert rates[id(named["out.weight"])] == (5e-3, 0.0)
    assert isinstance(run.optimizers[0], torch.optim.AdamW)


def test_weight_decay_grows_with_the_root_of_the_width_and_spares_vectors():
    run = make("adamw_mup", lr=1e-2, weight_decay=0.1, base_width=3, warmup=0.0, decay="constant")
    found = {}
    for group in run.optimizers[0].param_groups:
        for p in group["params"]:
            (name,) = [key for key, value in run.params.named.items() if value is p]
            found[name] = (group["lr"], group["weight_decay"])
    assert found["in.weight"] == pytest.approx((5e-3, 0.1 * 2**0.5))
    assert found["out.weight"] == pytest.approx((2.5e-3, 0.2))
    assert found["in.bias"] == found["gain"] == (1e-2, 0.0)
