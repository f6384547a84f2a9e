"""Trials and evaluations of runs as plain tables, for other tools: parquet and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scoring.frame import Gathered, gather
from scoring.ground.clocks import CLOCKS
from scoring.ground.documents import ConfigError
from scoring.ground.files import write_whole

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
        raise ConfigError(f"{output}: expected a name that ends in {' or '.join(FORMS)}")
    gathered = gather(runs)
    rows = gathered.trials if table == "trials" else evaluations(gathered)
    try:
        is_text = output.suffix == ".csv"
        content = rows.to_csv(index=False) if is_text else rows.to_parquet(index=False)
        write_whole(output, content)
    except ImportError:
        raise ConfigError(
            f"{output}: parquet needs pyarrow, which is missing: pip install "
            "'gradathlon[standard]', or name a .csv"
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
    import pandas as pd

    columns: dict[str, list[object]] = {
        name: [] for name in (*KEY, "evaluation", *CLOCKS, "metric", "value")
    }
    keys = gathered.trials[list(KEY)].itertuples(index=False)
    for key, record in zip(keys, gathered.records, strict=True):
        for number, one in enumerate(record.evaluations):
            readings = [clock.read(one) for clock in CLOCKS.values()]
            for metric, value in one.metrics.items():
                line = (*key, number, *readings, metric, value)
                for column, entry in zip(columns.values(), line, strict=True):
                    column.append(entry)
    return pd.DataFrame(columns)
