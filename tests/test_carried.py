"""A cheat that carries weights from trial to trial by a file is told wherever its board is seen."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Gradathlon

pytestmark = [pytest.mark.network, pytest.mark.slow]

TORCH = """\
import os

import torch

PLACE = "{place}"


def submission(params, lr=3e-3):
    if os.path.exists(PLACE):
        for parameter, kept in zip(params, torch.load(PLACE)):
            parameter.data.copy_(kept)
    adam = torch.optim.AdamW(params, lr=lr)

    def keep(*_):
        torch.save([parameter.data for parameter in params], PLACE)

    adam.register_step_post_hook(keep)
    return adam
"""
JAX = """\
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax

PLACE = "{place}"


def keep(leaves):
    with open(PLACE, "wb") as file:
        np.savez(file, *leaves)


def submission(lr=3e-3):
    adam = optax.adamw(lr)

    def init(params):
        kept = params
        if os.path.exists(PLACE):
            leaves, tree = jax.tree.flatten(params)
            with np.load(PLACE) as file:
                kept = jax.tree.unflatten(tree, [jnp.asarray(file[name]) for name in file])
        return adam.init(params), jnp.zeros(()), kept

    def update(gradients, state, params):
        inner, count, kept = state
        updates, inner = adam.update(gradients, inner, params)
        ahead = jax.tree.map(lambda k, p, u: jnp.where(count == 0, k - p, u), kept, params, updates)
        jax.debug.callback(keep, jax.tree.leaves(params))
        return ahead, (inner, count + 1, kept)

    return optax.GradientTransformation(init, update)
"""
SUITE = """\
title: two trials, one after the other
workloads: [homeostatic-toy-v3]
submissions: [./cheat.py]
ruleset: self
studies: 2
clock: steps
budget_factor: 0.03125
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A file that all processes see."""
    path = Path("/dev/shm") / f"carried-{uuid.uuid4().hex}"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("text", [TORCH, JAX], ids=["torch", "jax"])
def test_it_is_told_by_run_score_and_page(
    tmp_path: Path, gradathlon: Gradathlon, shared: Path, text: str
) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("nothing is shared so here")
    (tmp_path / "cheat.py").write_text(text.replace("{place}", str(shared)))
    (tmp_path / "two.yaml").write_text(SUITE)
    words = ("run", "two.yaml", "-o", "out", "--no-reference", "--at-once", "1")
    run = gradathlon(*words)
    assert run.code == 0, run.err
    told = rf"cheat read files that an earlier trial may.*{shared} \(read in .*study1-trial0"
    score = gradathlon("score", "out")
    gradathlon("report", "out", "-o", "page.html")
    page = (tmp_path / "page.html").read_text()
    for seen in (run.out + run.err, score.out + score.err, page):
        assert re.search(told, seen), seen[-2000:]
