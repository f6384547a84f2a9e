"""Talk: what is said to whoever types the commands, and is no result."""

from __future__ import annotations

import click


def say(line: str) -> None:
    """Say a line on stderr, since stdout is for results."""
    click.echo(line, err=True)
