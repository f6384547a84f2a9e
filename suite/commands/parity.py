"""`gradathlon parity`."""

from __future__ import annotations

import click


@click.command()
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD]...")
@click.pass_context
def parity(ctx: click.Context, /, workloads: tuple[str, ...]) -> None:
    """Compare torch and jax on this machine.

    Loss, gradients, and 50 steps of plain SGD, in both frameworks from equal weights. Prints the
    largest relative difference of each. Exit code 1 if a workload exceeds 1e-5 (loss and
    gradients) or 1e-3 (after 50 steps). Without arguments, all toy workloads.

    \b
    Example:
        gradathlon parity lm-toy-v1 homeostatic-toy-v1
    """
    from cluster import parity as comparison
    from suite.columns import columns
    from workloads import get, ids

    chosen = list(dict.fromkeys(workloads)) or [
        id for id in ids(variants=False) if id.split("-")[1] == "toy"
    ]
    for id in chosen:
        get(id)  # an unknown one is told before the first comparison
    rows = []
    for id in chosen:
        click.echo(f"comparing {id}", err=True)
        rows.append(comparison.compare(id))
    table = [
        (
            row.workload,
            *(f"{value:.1e}" for value in (row.loss, row.gradient, row.trained)),
            _word(row.ok),
        )
        for row in rows
    ]
    click.echo(columns(("workload", "loss", "gradient", "50 SGD steps", "verdict"), table))
    ctx.exit(0 if all(row.ok for row in rows) else 1)


def _word(ok: bool) -> str:
    return "ok" if ok else "FAIL"
