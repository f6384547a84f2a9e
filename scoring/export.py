"""Trials and evaluations of runs as plain tables, for other tools: parquet and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from scoring.columns import metrics_of, present, readings, values
from scoring.frame import Gathered, gather
from scoring.ground.clocks import CLOCKS
from scoring.ground.documents import ConfigError
from scoring.ground.files import write_whole
from scoring.records import Evaluation

if TYPE_CHECKING:
    import pandas as pd

Table = Literal["trials", "evaluations"]
KEY = ("run", "workload", "submission", "framework", "study", "trial")
FORMS = (".parquet", ".csv")


def export(runs: Sequence[Path], table: Table, output: Path) -> int:
    """Write a table of runs to `output`, in the form that its ending names; the number of rows.

    Raises:
        RecordError: the runs cannot be read.
        ConfigError: another ending, pyarrow is missing, or the file cannot be written.
    """
    if output.suffix not in FORMS:
        raise ConfigError(f"{output}: expected a name ending in {' or '.join(FORMS)}")
    gathered = gather(runs)
    rows = gathered.trials if table == "trials" else evaluations(gathered)
    try:
        is_text = output.suffix == ".csv"
        content = rows.to_csv(index=False) if is_text else rows.to_parquet(index=False)
        write_whole(output, content)
    except ImportError:
        raise ConfigError(
            f"{output}: Parquet needs pyarrow: pip install 'gradathlon[standard]', or write a .csv"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{output}: cannot be written: {reason}") from None
    return len(rows)


def evaluations(gathered: Gathered) -> pd.DataFrame:
    """A row for each metric of each evaluation, in the order of trials, with every clock.

    Columns: run, workload, submission, framework, study, trial (which trial); evaluation (its
    number); wall, cpu, steps, paired; metric, value.
    """

    names = [*KEY, "evaluation", *CLOCKS, "metric", "value"]
    parts = [_columns(record.evaluations) for record in gathered.records]
    lengths = [len(part["value"]) for part in parts]
    keys = gathered.trials[list(KEY)]
    rows = keys.loc[keys.index.repeat(lengths)].reset_index(drop=True)
    own = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return rows.assign(**own)[names]


def _columns(evaluations: Sequence[Evaluation]) -> dict[str, np.ndarray]:
    """A row for each metric that each of a trial's evaluations has, evaluation by evaluation."""
    metrics = metrics_of(evaluations)
    has = np.array([present(evaluations, name) for name in metrics], dtype=bool)
    has = has.reshape(len(metrics), len(evaluations)).T
    number, which = np.nonzero(has)
    series = np.array([values(evaluations, name) for name in metrics], dtype=float)
    return {
        "evaluation": number,
        **{clock: readings(evaluations, clock)[number] for clock in CLOCKS},
        "metric": np.array(metrics, dtype=object)[which],
        "value": series.reshape(has.T.shape)[which, number],
    }
