"""`gradathlon new`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from scoring.ground.documents import ConfigError
from scoring.ground.words import Framework
from submissions.source import parse
from submissions.templates import template


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE.py|NAME|DIR")
@click.option("--torch", is_flag=True, help="Use PyTorch; the default.")
@click.option("--jax", is_flag=True, help="Use JAX, with an optax transformation.")
@click.option("--workload", is_flag=True, help="Write a package with a workload family instead.")
@click.option(
    "--repository",
    is_flag=True,
    help="Write a folder with a submission and its continuous integration instead.",
)
def new(path: Path, torch: bool, jax: bool, workload: bool, repository: bool) -> None:
    """Write a starter submission, a repository around one, or a workload family.

    A submission has at most ten lines. A family is a small package, installed with pip; its
    workloads are then raced like the built-in ones. Both run as they are. No file is overwritten.

    \b
    Examples:
        gradathlon new my_opt.py --jax
        gradathlon check my_opt.py
        gradathlon run demo -s my_opt.py -s adamw
    \b
        gradathlon new --workload digits
        pip install -e digits
        gradathlon check digits-toy-v1
    \b
        gradathlon new --repository my-opt
    """
    if workload and repository:
        raise click.UsageError("--workload or --repository, not both")
    if torch and jax:
        raise click.UsageError("--torch or --jax, not both")
    if workload and (torch or jax):
        raise click.UsageError("--workload writes a family in both frameworks: no --torch or --jax")
    framework: Framework = "jax" if jax else "torch"
    if repository:
        from suite.new_repository import write_repository

        name = write_repository(path, framework)
        click.echo(str(path))
        click.echo(
            f"next: review {path}/requirements.txt, then: gradathlon check {path}/{name}.py",
            err=True,
        )
        return
    if workload:
        from suite.new_family import write_family

        folder = write_family(path)
        click.echo(str(folder))
        click.echo(
            f"next: pip install -e {folder} && gradathlon check {folder.name}-toy-v1", err=True
        )
        return
    if path.suffix != ".py":
        raise ConfigError(f"{path}: a submission is a Python file; name it {path}.py")
    text = template(framework)
    parse(path.stem, text, str(path))  # a name that could not race is refused before it is written
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: exists; choose another file, or delete it first") from None
    except OSError as error:
        with contextlib.suppress(OSError):  # half a file would be refused as one that exists
            path.unlink()
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    click.echo(str(path))
    click.echo(f"next: gradathlon check {path}", err=True)
