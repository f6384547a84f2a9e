"""The file that `gradathlon new` writes: a starter submission of at most ten lines."""

from __future__ import annotations

from scoring.ground.words import Framework

_TORCH = '''\
"""AdamW with one tuned learning rate: replace it with your own training algorithm."""

import torch

SEARCH_SPACE = {"lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"}}


def submission(params, lr=1e-3, weight_decay=0.1):
    return torch.optim.AdamW(params, lr=lr, weight_decay=weight_decay)
'''

_JAX = '''\
"""AdamW with one tuned learning rate: replace it with your own training algorithm."""

import optax

SEARCH_SPACE = {"lr": {"min": 1e-4, "max": 1e-1, "scaling": "log"}}


def submission(lr=1e-3, weight_decay=0.1):
    return optax.adamw(lr, weight_decay=weight_decay)
'''


def template(framework: Framework) -> str:
    """The text of a submission of that framework, which runs as it stands."""
    return {"torch": _TORCH, "jax": _JAX}[framework]
