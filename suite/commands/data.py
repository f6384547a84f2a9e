"""`gradathlon data`."""

from __future__ import annotations

import functools
from pathlib import Path

import click

import workloads
from cluster.node_data import FETCH_S, fetch_all, fetch_once
from scoring.ground.cache import cache_folder
from suite.text_table import columns
from workloads.fetch import data_folder


@click.group()
def data() -> None:
    """List and fetch the data that workloads train on.

    Toy and laptop data are fetched on first use, into $GRADATHLON_CACHE or the user's cache folder.
    Standard-scale data are read from the folder named by $GRADATHLON_DATA.
    """


@data.command(name="list")
def list_() -> None:
    """List every artefact that the cache holds or can hold, with its state, size and path."""
    rows = []
    for family, artefact in workloads.artefacts():
        here = artefact.path.exists()
        size = f"{_bytes(artefact.path) / 1e6:.1f} MB" if here else ""
        state = "here" if here else "not fetched"
        rows.append((family, artefact.origin, state, size, str(artefact.path)))
    click.echo(columns(("family", "source", "state", "size", "path"), rows))
    click.echo(f"cache folder: {cache_folder()}", err=True)
    where = data_folder() or "not set; `gradathlon data fetch ID` says what a workload needs"
    click.echo(f"data folder (GRADATHLON_DATA): {where}", err=True)


@data.command()
@click.argument("named", nargs=-1, metavar="[WORKLOAD]...")
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Fetch on every node of this Ray cluster, which this machine is a node of: auto, or "
    "HOST:PORT.",
)
@click.pass_context
def fetch(ctx: click.Context, named: tuple[str, ...], address: str | None) -> None:
    """Fetch the data of some workloads, or of all toy workloads by default.

    For a workload at standard scale, prints in one line what is missing and where to get it.

    \b
    Examples:
        gradathlon data fetch lm-toy-v2
        gradathlon data fetch --address auto
    """
    chosen = list(named) or workloads.ids(variants=False, scale="toy")
    wanted = {id: workloads.get(id) for id in chosen}
    if address is not None:
        if not _fetch_on_nodes(address, chosen):
            ctx.exit(1)
        return
    for id, workload in wanted.items():
        click.echo(f"fetching the data of {id} ...", err=True)
        fetch_once(workload)
        click.echo(f"{id}: here")


def _fetch_on_nodes(address: str, ids: list[str]) -> bool:
    """Whether every node has them now."""
    from cluster.executors.ray_nodes import ask_cluster

    click.echo(f"fetching the data of {', '.join(ids)} on each node ...", err=True)
    replies = ask_cluster(address, functools.partial(fetch_all, ids), FETCH_S)
    for reply in replies:
        click.echo(f"{reply.node.name}: {reply.trouble or 'here'}")
    return not any(reply.trouble for reply in replies)


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
