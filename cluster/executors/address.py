"""Whether a Ray cluster can be at an address: checked before anything is written or imported."""

from __future__ import annotations

import socket
import subprocess
import sys

from cluster.spec import ClusterError

_CONNECT_S = 10.0
_HEALTH_S = 30.0  # a process of its own must import Ray first, perhaps on a busy machine


def check_address(address: str) -> None:
    """See within seconds whether anything answers at HOST:PORT; Ray itself asks for minutes.

    Raises:
        ClusterError: nothing does, or it is no address of a cluster.
    """
    if address in ("auto", "local"):
        return
    if address.startswith("ray://"):
        raise ClusterError(
            f"no Ray cluster at {address!r}: Ray Client cannot report on running trials; run "
            "gradathlon on a node of the cluster, with --address auto"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ClusterError(f"no Ray cluster at {address!r}: give HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise ClusterError(f"no Ray cluster at {address!r}: {error}; is it running?") from None
    if not _is_healthy(address):
        raise ClusterError(
            f"no Ray cluster at {address!r}: the server there is not a Ray head node; its "
            "port is 6379 by default"
        )


def _is_healthy(address: str) -> bool:
    """Ask with a time limit; Ray's own way to connect asks twenty times and talks all the while."""
    ask = "from ray.scripts.scripts import main; main()"
    words = [sys.executable, "-c", ask, "health-check", "--address", address]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_HEALTH_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
