"""Hours that exact pruning would have saved in a race that was run whole, by rule.

    gradathlon import-algoperf LOGS -o RUN --reference baseline
    python -m tests.benchmarks.hours_saved RUN

Each submission's trials on a workload are replayed in the order of their numbers, one at a time:
of all studies at once the rules see less. Beneath the table: whether any ratio of medians changed.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scoring.bootstrap import Resampler
from scoring.frame import load, official_clock
from scoring.ground.words import is_reference
from scoring.profiles import TAU_MAX
from scoring.pruning import RULES, Replayed, Trial, replay
from scoring.yardsticks import raced


def replayed(runs: Sequence[Path]) -> dict[tuple[str, str], tuple[Replayed, float, float, bool]]:
    """By submission and workload: the replay, the hours it took whole, and whether it is exact."""
    trials = load(runs)
    clock = official_clock(trials)
    trials["time"] = trials[clock]
    references = {place[1]: studies for place, studies in raced(trials, clock)}
    found = {}
    for (name, workload), rows in trials.groupby(["submission", "workload"]):
        if is_reference(str(name)) or workload not in references:
            continue
        studies = sorted(rows["study"].unique())
        tries = float(rows.groupby("study").size().max())
        divisor = Resampler(draws=0).medians_of_fastest(references[str(workload)], tries)[0]
        order = [
            Trial(studies.index(study), float(time), float(ran))
            for study, time, ran in rows[["study", "time", f"{clock}_end"]].itertuples(index=False)
        ]
        done = replay(order, len(studies), float(divisor))
        spent = sum(min(one.ran, one.time) for one in order)
        full = statistics.median(_fastest(rows).values())
        now = statistics.median(done.times.values())
        scored = [max(0.0, TAU_MAX - time / float(divisor)) for time in (full, now)]
        same = math.isclose(*scored, abs_tol=1e-12)
        found[str(name), str(workload)] = done, spent, float(divisor), same
    return found


def _fastest(rows: pd.DataFrame) -> dict[int, float]:
    return {int(study): float(own["time"].min()) for study, own in rows.groupby("study")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", type=Path, nargs="+")
    found = replayed(parser.parse_args().runs)
    names = list(dict.fromkeys(name for name, _ in found))
    print(f"| submission | hours | {' | '.join(RULES)} | saved |")
    print(f"|---|---:|{'---:|' * len(RULES)}---:|")
    for name in [*names, "all"]:
        own = [cell for (other, _), cell in found.items() if name in (other, "all")]
        spent = sum(cell[1] for cell in own) / 3600
        saved = [sum(cell[0].saved[rule] for cell in own) / 3600 for rule in RULES]
        shares = " | ".join(f"{hours:,.0f}" for hours in saved)
        print(f"| {name} | {spent:,.0f} | {shares} | {100 * sum(saved) / spent:.0f} % |")
    changed = [key for key, cell in found.items() if not cell[3]]
    print(f"\n{len(found)} submissions on workloads, scores that changed: {len(changed)}")


if __name__ == "__main__":
    main()
