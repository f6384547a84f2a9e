"""A calibration from what was typed to what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from cluster.run_lock import drive_throughout
from scoring.ground.words import Resources
from suite.calibration.begun import kept, resumed
from suite.calibration.calibrate import Calibration
from suite.calibration.order import Order, new
from suite.calibration.verdict import told, write
from suite.config import NamedSuite
from suite.talk import say
from suite.trials import Place, refuse_too_many_cores


def carry_out(
    word: str, named: NamedSuite | None, options: Mapping[str, object], folder: Path, place: Place
) -> None:
    """Calibrate the submission that `word` names, anew on a suite or, without one, resumed.

    `options` are the keys of the order by name, None for those that were not typed.

    Raises:
        ConfigError: contradictory or wrong input, a used or unwritable folder.
        SubmissionError: a submission that cannot race.
        WorkloadError: an unknown workload, or data that cannot be had.
        ClusterError: the place to race cannot be had.
    """
    folder = folder.absolute()
    order = new(word, named, options) if named else resumed(Order, word, options, folder)
    calibration = Calibration(order, folder, place, say)
    if place.address is None:
        refuse_too_many_cores(Resources(order.cores), "--cores")
    with kept(order, folder) if named else drive_throughout(folder, say):
        verdict = calibration.run()
        written = write(verdict, folder)
    click.echo(told(verdict))
    say(f"to race it: gradathlon run {written}")


def folder_of(output: Path | None, kind: str, word: str, where: str) -> Path:
    """Where a procedure's trials lie: as typed, or named after what it is about."""
    stem = Path(word).stem if word.endswith(".py") else Path(word).name
    return output or Path("runs") / f"{kind}-{stem}-{where}"
