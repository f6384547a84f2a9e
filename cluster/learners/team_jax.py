"""What the ranks of a JAX trial do together: one program on all of them, divided by XLA.

Weights and state lie whole on every rank, and of a batch each holds its share. A step is compiled
for all ranks at once as if they were one device: what it computes is what one rank alone would, and
only the order of sums differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cluster.learners.contract import DeviceError, Rank
from workloads.contract import Array, Batch

Tree = TypeVar("Tree")
Function = TypeVar("Function", bound=Callable[..., object])
_PATIENCE_S = 600
_LEAVE_S = 60
_FOR_EVER_S = 10**8
"""A rank that is gone is told of by its line and by the next sum over ranks, and not by silence."""


class JaxTeam:
    """The ranks of a trial as one of them sees them."""

    def __init__(self, rank: Rank, gpus: int) -> None:
        """Must come before anything is computed in this process.

        Raises:
            DeviceError: something was.
        """
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            jax.distributed.initialize(
                rank.address,
                num_processes=rank.size,
                process_id=rank.number,
                local_device_ids=list(range(max(1, gpus))),
                cluster_detection_method="deactivate",
                initialization_timeout=_PATIENCE_S,
                heartbeat_timeout_seconds=_FOR_EVER_S,
                shutdown_timeout_seconds=_LEAVE_S,
            )
        except RuntimeError as error:
            if "before any JAX" not in str(error) and "only be called once" not in str(error):
                raise
            raise DeviceError(
                "JAX has already run in this process, and a trial on several ranks needs a fresh "
                "one; use --executor ray"
            ) from None
        ranks = Mesh(np.array(jax.devices()), ("ranks",))
        self.everywhere = NamedSharding(ranks, PartitionSpec())
        self._divided = NamedSharding(ranks, PartitionSpec("ranks"))
        self._rank = rank

    def compile(self, function: Function, donated: tuple[int, ...] = ()) -> Function:
        """As `jax.jit`; what it gives lies whole on every rank. All ranks must call it."""
        jitted = jax.jit(function, donate_argnums=donated, out_shardings=self.everywhere)
        return cast(Function, jitted)

    def whole(self, tree: Tree) -> Tree:
        """The same arrays, which every rank has, as one that lies whole on each."""
        return jax.tree.map(self._whole, tree)

    def batch(self, batch: Batch) -> Batch:
        """A batch that every rank was sent, of which each keeps its share.

        One that cannot be divided evenly stays whole.
        """
        mine, rows = self._rank.share(batch) or (slice(None), frozenset())
        placed = {
            name: self._part(value, mine) if name in rows else self._whole(value)
            for name, value in batch.items()
        }
        return cast(Batch, placed)

    def _whole(self, value: Array | jax.Array) -> jax.Array:
        if isinstance(value, jax.Array) and value.sharding == self.everywhere:
            return value
        here = value if isinstance(value, jax.Array) else jax.numpy.asarray(value)
        return jax.make_array_from_single_device_arrays(here.shape, self.everywhere, [here])

    def _part(self, value: Array, mine: slice) -> jax.Array:
        part = jax.numpy.array(value[mine])
        return jax.make_array_from_single_device_arrays(value.shape, self._divided, [part])


def here(tree: Tree) -> Tree:
    """Arrays that lie whole on every rank, as this rank's alone; others as they are."""
    return jax.tree.map(_here, tree)


def _here(value: object) -> object:
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return value.addressable_data(0)
    return value


def leave() -> None:
    """Part from the other ranks, which do so at the same time; JAX is of no more use here."""
    jax.distributed.shutdown()
