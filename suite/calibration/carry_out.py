"""A calibration from what was typed to what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from scoring.ground.documents import ConfigError
from suite.calibration import order as orders
from suite.calibration.calibrate import Calibration
from suite.calibration.trials import Place
from suite.calibration.verdict import told, write
from suite.config import NamedSuite


def carry_out(
    word: str, named: NamedSuite | None, given: Mapping[str, Any], folder: Path, place: Place
) -> None:
    """Calibrate the submission that `word` names, anew on a suite or, without one, resumed.

    `given` are the keys of the order that were typed, None where they were not.

    Raises:
        ConfigError: contradictory or wrong input, a used or unwritable folder.
        SubmissionError: a submission that cannot race.
        WorkloadError: an unknown workload, or data that cannot be had.
        ClusterError: the place to race cannot be had.
    """
    folder = folder.absolute()
    begun = named is None
    order = orders.new(word, named, given) if named else orders.resumed(word, given, folder)
    calibration = Calibration(order, folder, place, say)
    if not begun:
        orders.keep(order, folder)
    verdict = calibration.run()
    click.echo(told(verdict))
    say(f"to race it: gradathlon run {write(verdict, folder)}")


def folder_of(output: Path | None, kind: str, word: str, where: str, *, resume: bool) -> Path:
    """Where a procedure's trials lie: as typed, or named after what it is about.

    Raises:
        ConfigError: it is to be resumed, and its folder was not typed and is not there.
    """
    if output is not None:
        return output
    stem = Path(word).stem if word.endswith(".py") else Path(word).name
    folder = Path("runs") / f"{kind}-{stem}-{where}"
    if resume and not folder.exists():
        raise ConfigError(f"--resume: there is no {folder}; name the folder with -o")
    return folder


def say(line: str) -> None:
    """Talk goes to stderr, since stdout is for data."""
    click.echo(line, err=True)
