"""`gradathlon new`."""

from __future__ import annotations

from pathlib import Path

import click

from scoring.ground.documents import ConfigError
from submissions.templates import template


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE.py")
@click.option("framework", "--torch", flag_value="torch", default="torch", help="In PyTorch.")
@click.option("framework", "--jax", flag_value="jax", help="In JAX, as an optax transformation.")
def new(path: Path, framework: str) -> None:
    """Write a submission to begin with.

    At most ten lines that run as they stand. An existing file is never overwritten.

    \b
    Example:
        gradathlon new my_opt.py --jax
        gradathlon check my_opt.py
        gradathlon run demo -s my_opt.py -s adamw
    """
    if path.suffix != ".py":
        raise ConfigError(f"{path}: a submission is a Python file; name it {path}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template("jax" if framework == "jax" else "torch"))
    except FileExistsError:
        raise ConfigError(f"{path} exists; name another file, or delete it first") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    click.echo(str(path))
    click.echo(f"next: gradathlon check {path}", err=True)
