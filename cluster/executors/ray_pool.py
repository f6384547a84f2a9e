"""Which nodes of a Ray cluster a run uses: decided and reported before the first trial starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from cluster.executors.needs import lacking, needs
from cluster.executors.pools import Place, Pool, choose, fitting, side_by_side
from cluster.executors.ray_nodes import PATIENCE_S, Reply, ask_nodes, nodes
from cluster.hardware import fingerprint
from cluster.node_data import FETCH_S, fetch_all
from cluster.spec import ClusterError, Tell, TrialSpec


def make_pool(specs: Sequence[TrialSpec], tell: Tell) -> Pool:
    """The nodes of one class of hardware that have what submissions import, and the data.

    Raises:
        ClusterError: there is none.
    """
    first = specs[0]
    replies = ask_nodes(functools.partial(fingerprint, first.resources))
    places = [
        Place(one.node.id, one.node.name, one.node.cores, one.node.gpus, one.answer, one.trouble)
        for one in replies
    ]
    pool, lines = choose(places, first.resources, first.run)
    for line in lines:
        tell(line)
    sources = {spec.source.sha256: spec.source for spec in specs}
    sources |= {spec.pace.source.sha256: spec.pace.source for spec in specs if spec.pace}
    _keep_those_that(
        pool,
        functools.partial(lacking, needs(sources.values())),
        PATIENCE_S,
        "no node has the packages submissions import: {}; install them on every node, or submit "
        "the run as a job with them: --runtime-env-json '{{\"pip\": [...]}}'",
        tell,
    )
    ids = list(dict.fromkeys(spec.workload for spec in specs))
    fetch = functools.partial(fetch_all, ids)
    _keep_those_that(pool, fetch, FETCH_S, "no node has the data: {}", tell)
    return pool


def _keep_those_that(
    pool: Pool,
    question: Callable[[], Sequence[str] | None],
    patience_s: float,
    none: str,
    tell: Tell,
) -> None:
    """Ask each node; one that names what it lacks, or cannot answer, stands aside.

    Raises:
        ClusterError: all do.
    """
    trouble = ""
    for reply in ask_nodes(question, patience_s, pool.places):
        if reason := _trouble(reply):
            trouble = f"{reply.node.name}: {reason}"
            tell(f"{reply.node.name} is skipped: {reason}")
            pool.remove(reply.node.id)
    if not pool.places:
        raise ClusterError(none.format(trouble))


def _trouble(reply: Reply[Sequence[str] | None]) -> str:
    return reply.trouble or "; ".join(reply.answer or ())


def check_room(specs: Sequence[TrialSpec]) -> int:
    """How many trials race at a time.

    Raises:
        ClusterError: no node has what a trial asks for.
    """
    there, wanted = nodes(), {spec.resources for spec in specs}
    for held in wanted:
        if not any(fitting(node, held) for node in there):
            raise ClusterError(
                f"no node has {held.all_cores} cores and {held.all_gpus} accelerators for one "
                "trial; lower `resources` in the suite, or join a larger cluster with --address"
            )
    return side_by_side(there, wanted)
