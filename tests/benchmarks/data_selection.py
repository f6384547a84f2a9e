"""What choosing data gains and costs: methods of one optimizer, with and without.

    python -m tests.benchmarks.data_selection RUN..

RUN are races on the paired clock, on which a method's own work counts whole and a busy machine
cancels out. Prints Markdown: for each workload how many studies met the target; their median to it
in steps and in time, over the tuned reference's; and what a step takes, in the reference's.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from scoring.frame import load
from scoring.ground.words import is_reference
from suite.text_table import markdown
from tests.benchmarks.learning_rate_free import met


def main() -> None:
    """Print the table, by workload and name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    rows = []
    for (name, id), trials in load(parser.parse_args().runs).groupby(["submission", "workload"]):
        if is_reference(str(name)):
            continue
        in_steps, in_time = (met(trials, clock=clock)[str(id)] for clock in ("steps", "paired"))
        cost = float((trials["paired_end"] / trials["steps_end"]).median())
        told = (_told(in_steps.ratio), _told(in_time.ratio), f"{cost:.2f}")
        rows.append((str(name), str(id), f"{in_steps.reached} of {in_steps.studies}", *told))
    rows.sort(key=lambda row: (row[1], row[0]))
    head = ("method", "workload", "met the target", "steps", "time", "a step's time")
    print(markdown(head, rows))


def _told(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "missed"


if __name__ == "__main__":
    main()
