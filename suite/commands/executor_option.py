"""The option `--executor` of every command that races."""

from __future__ import annotations

import click

executor_option = click.option(
    "--executor",
    type=click.Choice(["ray", "in-process"]),
    default="ray",
    show_default=True,
    callback=lambda ctx, option, word: word.replace("-", "_"),
    help="ray: side by side, a fresh process a trial. in-process: one after the other.",
)
"""Its value is a `cluster.Executor`."""
