"""A small problem in both frameworks: a tanh network on fixed data, the same floats in each."""

from __future__ import annotations

import inspect

import numpy as np

from submissions.contract import Card, Parameters
from submissions.load import flatten, is_optimizer

WIDTHS = (6, 12, 3)
STEPS = 50
ROLES = {"in.weight": "weight", "in.bias": "bias", "gain": "norm", "out.weight": "weight"}


def arrays(dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    inner, hidden, outer = WIDTHS
    return {
        "in.weight": (rng.standard_normal((hidden, inner)) / np.sqrt(inner)).astype(dtype),
        "in.bias": np.zeros(hidden, dtype),
        "gain": np.ones(hidden, dtype),
        "out.weight": (rng.standard_normal((outer, hidden)) / np.sqrt(hidden)).astype(dtype),
    }


def batch(dtype=np.float32):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((64, WIDTHS[0])).astype(dtype)
    teacher = rng.standard_normal((WIDTHS[0], WIDTHS[2])).astype(dtype)
    return x, np.sin(x @ teacher)


def card(step_hint=STEPS, seed=0):
    shapes = {name: array.shape for name, array in arrays().items()}
    return Card(
        step_hint=step_hint,
        batch_size=64,
        max_steps=2 * step_hint,
        seconds=60.0,
        shapes=shapes,
        roles=ROLES,
        seed=seed,
    )


def torch_parameters(dtype=np.float32):
    import torch

    named = {
        name: torch.nn.Parameter(torch.from_numpy(array)) for name, array in arrays(dtype).items()
    }
    return Parameters(named, ROLES)


def torch_loss(params):
    import torch

    p = params.named
    x, y = map(torch.from_numpy, batch(p["gain"].detach().numpy().dtype))
    hidden = torch.tanh(x @ p["in.weight"].T + p["in.bias"]) * p["gain"]
    return ((hidden @ p["out.weight"].T - y) ** 2).mean()


def jax_loss(params):
    import jax.numpy as jnp

    x, y = batch(params["gain"].dtype)
    hidden = jnp.tanh(x @ params["in.weight"].T + params["in.bias"]) * params["gain"]
    return ((hidden @ params["out.weight"].T - y) ** 2).mean()


class TorchRun:
    """An optimizer, or a tuple of optimizers and schedulers, at work on the problem."""

    def __init__(self, params, built):
        self.params = params
        self.parts = flatten(built)
        self.optimizers = [part for part in self.parts if is_optimizer(part)]
        self.schedulers = [part for part in self.parts if not is_optimizer(part)]
        self.mode("train")

    def mode(self, name):
        for optimizer in self.optimizers:
            getattr(optimizer, name, lambda: None)()

    def steps(self, count):
        return [self._step() for _ in range(count)]

    def _step(self):
        losses = []

        def closure():
            with torch.enable_grad():
                for optimizer in self.optimizers:
                    optimizer.zero_grad()
                losses.append(torch_loss(self.params))
                losses[-1].backward()
            return losses[-1]

        import torch

        wanted = [inspect.signature(optimizer.step).parameters for optimizer in self.optimizers]
        asks = ["closure" in w and w["closure"].default is inspect.Parameter.empty for w in wanted]
        if not all(asks):
            closure()
        for optimizer, ask in zip(self.optimizers, asks, strict=True):
            if ask:
                optimizer.step(closure)
            elif "loss" in inspect.signature(optimizer.step).parameters:
                optimizer.step(loss=losses[-1].detach())
            else:
                optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        return losses[0].item()

    def weights(self):
        return {name: p.detach().numpy().copy() for name, p in self.params.named.items()}

    def rates(self):
        return [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]


class JaxRun:
    """An optax transformation at work on the problem."""

    def __init__(self, params, built):
        import jax
        import optax

        self.params = params
        self.state = jax.jit(built.init)(params)
        built = optax.with_extra_args_support(built)

        def update(params, state):
            loss, grads = jax.value_and_grad(jax_loss)(params)
            updates, state = built.update(grads, state, params, value=loss)
            return jax.tree.map(lambda p, u: p + u, params, updates), state, loss

        self._update = jax.jit(update)

    def steps(self, count):
        losses = []
        for _ in range(count):
            self.params, self.state, loss = self._update(self.params, self.state)
            losses.append(float(loss))
        return losses

    def weights(self):
        return {name: np.asarray(array) for name, array in self.params.items()}
