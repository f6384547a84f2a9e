"""Query every node of a Ray cluster once: its hardware, and whether it has the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container
from typing import Any, Generic, TypeVar

import cluster.executors.ray_quiet  # isort: skip  # noqa: F401 - before ray, which looks at its import
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.checks.doctor import Finding
from cluster.executors.ray_session import ray_session
from cluster.spec import ClusterError

_Answer = TypeVar("_Answer")
PATIENCE_S = 60.0
"""For a node to start a worker, which imports Ray, and to answer."""


@dataclasses.dataclass(frozen=True)
class Node:
    """A living node of the cluster."""

    id: str
    name: str
    cores: int
    gpus: int


@dataclasses.dataclass(frozen=True)
class Reply(Generic[_Answer]):
    """What a node answered; or in `trouble`, in one line, why it did not."""

    node: Node
    answer: _Answer | None
    trouble: str = ""


def nodes() -> list[Node]:
    """The nodes of the cluster that this process has joined."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    names = [node["NodeManagerHostname"] for node in alive]
    return [
        Node(
            node["NodeID"],
            # Several on one machine bear one name.
            name if names.count(name) == 1 else f"{name} {node['NodeID'][:6]}",
            int(node["Resources"].get("CPU", 0)),
            int(node["Resources"].get("GPU", 0)),
        )
        for node, name in zip(alive, names, strict=True)
    ]


def ask_nodes(
    question: Callable[[], _Answer],
    patience_s: float | None = PATIENCE_S,
    only: Container[str] | None = None,
) -> list[Reply[_Answer]]:
    """Ask each node of the cluster that this process has joined, or `only` some, all at once.

    `question` is a function of one of our packages, which are on every worker's path.
    """
    chosen = [node for node in nodes() if only is None or node.id in only]
    references = {node: _ask.options(**_at(node)).remote(question) for node in chosen}
    ray.wait(list(references.values()), num_returns=len(references), timeout=patience_s)
    return [_reply(node, answer) for node, answer in references.items()]


def ask_cluster(
    address: str, question: Callable[[], _Answer], patience_s: float | None = PATIENCE_S
) -> list[Reply[_Answer]]:
    """Join the cluster, ask each of its nodes, and leave.

    Raises:
        ClusterError: nothing answers at `address`.
    """
    with ray_session(address):
        return ask_nodes(question, patience_s)


def ray_here() -> Finding:
    """Whether Ray starts on this machine; takes some seconds."""
    try:
        with ray_session(None):
            cores = sum(node.cores for node in nodes())
    except ClusterError as error:
        advice = "check free memory, shared memory and ports"
        return Finding("Ray starts", "fail", str(error), advice)
    return Finding("Ray starts", "ok", f"with {cores} cores")


@ray.remote(num_cpus=0, max_retries=1)
def _ask(question: Callable[[], Any]) -> Any:
    return question()


def _at(node: Node) -> dict[str, object]:
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False)}


def _reply(node: Node, answer: Any) -> Reply[Any]:
    try:
        return Reply(node, ray.get(answer, timeout=0))
    except RayTaskError as error:
        return Reply(node, None, " ".join(f"{error.cause}".split()) or type(error.cause).__name__)
    except RayError as error:
        trouble = "did not answer in time" if isinstance(error, TimeoutError) else f"{error}"
        return Reply(node, None, " ".join(trouble.split())[:200])
