"""Which examples a selection keeps, and what it costs in draws."""

from __future__ import annotations

import types

import pytest
import torch

import submissions
from submissions.load import build, execute, unload
from tests.submissions import problem

SCORED = types.SimpleNamespace(losses=lambda params, batch: batch["hardness"])


def selection(**hyperparameters):
    source = submissions.find("by_loss")
    module = execute(source)
    params = problem.torch_parameters()
    build(module, source, hyperparameters, params=params, card=problem.card())
    unload(source)
    return module.select_data


def batches(count, size=4):
    rows = torch.randperm(count * size, generator=torch.Generator().manual_seed(0)).float()
    return [{"hardness": part, "catalogue": torch.ones(1, 3)} for part in rows.split(size)]


@pytest.mark.parametrize("pool", [2, 3])
def test_the_hardest_examples_of_the_pool_fill_one_batch(pool):
    drawn = batches(5)
    left = iter(drawn)
    chosen, _ = selection(pool=pool)({}, {}, left, SCORED)
    seen = torch.cat([one["hardness"] for one in drawn[:pool]])
    assert chosen["hardness"].tolist() == sorted(seen.tolist(), reverse=True)[:4]
    assert chosen["catalogue"].shape == (1, 3)
    assert len(list(left)) == 5 - pool


def test_before_it_begins_batches_pass_as_they_are():
    select = selection(begin=0.5)
    drawn = batches(4)
    for done, kept in ((0, True), (24, True), (25, False)):
        left = iter(drawn)
        state = {"w": {"step": torch.tensor(float(done))}}
        chosen, _ = select({}, state, left, SCORED)
        assert (chosen is drawn[0]) == kept
