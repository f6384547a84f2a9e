"""`gradathlon parity`."""

from __future__ import annotations

import click

import workloads
from cluster.checks import parity as comparison
from cluster.checks.parity import Parity
from suite.text_table import columns


@click.command()
@click.argument("named", nargs=-1, metavar="[WORKLOAD]...")
@click.option(
    "--rows",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="Use only N examples of each batch, for scales too large for this machine.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 10**9),
    default=50,
    show_default=True,
    metavar="N",
    help="Steps of plain SGD.",
)
@click.pass_context
def parity(ctx: click.Context, /, named: tuple[str, ...], rows: int | None, steps: int) -> None:
    """Compare torch and jax on this machine.

    Compares loss, gradients, and steps of plain SGD in both frameworks, from equal weights. Prints
    the largest relative difference of each. Exit code 1 if a workload exceeds 1e-5 (loss and
    gradients) or 1e-3 (after the steps). Default: all toy workloads. If the data are not available,
    or would first be generated for minutes, batches of random values of the same shapes are used.

    \b
    Examples:
        gradathlon parity lm-toy-v2 homeostatic-toy-v3
        gradathlon parity lm-standard-v2 --rows 1 --steps 3
    """
    chosen = list(dict.fromkeys(named)) or workloads.ids(variants=False, scale="toy")
    for id in chosen:
        workloads.get(id)  # an unknown one is told before the first comparison
    reports = []
    for id in chosen:
        click.echo(f"comparing {id}", err=True)
        reports.append(comparison.compare(id, rows=rows, steps=steps))
    head = ("workload", "batches", "loss", "gradient", f"after {steps} SGD steps", "verdict")
    click.echo(columns(head, [_row(one) for one in reports]))
    ctx.exit(0 if all(one.ok for one in reports) else 1)


def _row(one: Parity) -> tuple[str, ...]:
    numbers = (f"{value:.1e}" for value in (one.loss, one.gradient, one.trained))
    batches = "real" if one.real_data else "random"
    return (one.workload, batches, *numbers, "ok" if one.ok else "FAIL")
