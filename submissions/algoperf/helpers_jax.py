"""What an AlgoPerf JAX file imports from `jax_sharding_utils`: shardings over one device."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax.sharding import NamedSharding, PartitionSpec

from submissions.algoperf.words import Weights


def _sharding(*axes: str) -> NamedSharding:
    return NamedSharding(jax.sharding.Mesh(jax.devices()[:1], ("batch",)), PartitionSpec(*axes))


def get_replicate_sharding() -> NamedSharding:
    """Every device holds all of it."""
    return _sharding()


def get_batch_dim_sharding() -> NamedSharding:
    """The first axis is split over the devices."""
    return _sharding("batch")


def replicate(tree: Weights) -> Weights:
    """The arrays on every device."""
    return jax.device_put(tree, get_replicate_sharding())


def shard_along_batch_dim(tree: Weights) -> Weights:
    """The arrays, their first axis split over the devices."""
    return jax.device_put(tree, get_batch_dim_sharding())


HELPERS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        get_replicate_sharding,
        get_batch_dim_sharding,
        replicate,
        shard_along_batch_dim,
    )
}
