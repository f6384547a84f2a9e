"""A Ray session of our own: local or joined, quiet, with this very code on its workers."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cluster.executors.ray_quiet  # noqa: F401 - before ray
from cluster.executors.address import check_address
from cluster.hardware import COMMIT, versions
from cluster.spec import ClusterError

PACKAGES = ("suite", "cluster", "scoring", "workloads", "submissions")
_OBJECT_STORE_BYTES = 80_000_000  # Ray's smallest; only news and outcomes pass through it


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Connect to the cluster at `address`, or start one on this machine; leave it afterwards.

    Raises:
        ClusterError: nothing answers at `address`.
    """
    if address is not None:
        check_address(address)
    import ray

    with tempfile.TemporaryDirectory(prefix="gradathlon-") as scratch:
        options: dict[str, Any] = {
            "runtime_env": {
                "working_dir": str(_stage_code(Path(scratch))),
                "env_vars": {COMMIT: versions().get("commit", "")},
            },
            "log_to_driver": False,
            "logging_level": "error",
        }
        if address is None:
            options |= {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "num_cpus": len(os.sched_getaffinity(0)),
            }
        else:
            options["address"] = address
        try:
            ray.init(**options)
        except Exception as error:  # Ray raises bare ones, as when it is slow to start
            where = f"no Ray cluster at {address!r}" if address else "Ray did not start"
            reason = " ".join(str(error).split())[:300]
            raise ClusterError(f"{where}: {reason}") from None
        try:
            yield
        finally:
            ray.shutdown()


def _stage_code(scratch: Path) -> Path:
    """A folder that holds the five packages and nothing else.

    Given as Ray's working_dir it comes first on the workers' path, before the driver's current
    folder, so that a user's own `submissions` package cannot shadow ours. The parent of an
    installed package would be all of site-packages.
    """
    parent = Path(__file__).resolve().parents[2]
    staged = scratch / "code"
    staged.mkdir()
    for name in PACKAGES:
        source = parent / name
        if not source.is_dir():
            raise ClusterError(
                f"{source} does not exist: the packages {', '.join(PACKAGES)} must be installed "
                "side by side; reinstall gradathlon"
            )
        (staged / name).symlink_to(source, target_is_directory=True)
    return staged
