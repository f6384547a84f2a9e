"""What do ten thousand trials cost to score and to report? CPU seconds, memory, size of the page.

    python -m tests.benchmarks.scale FOLDER [--trials 10000] [--evaluations 200]

Writes a made-up run to FOLDER (once; 270 MB at the defaults) and calls the commands as a user
would, each in a process of its own: `score` of a run that comes from elsewhere, then what the
driver of a run does for the index while it races, then the commands on such a run. No assertion:
times are for reading.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from scoring.ground.words import Budget, Framework, Target, TrialKey
from scoring.lines import encode
from scoring.records import Evaluation, Header, Outcome, record_path
from scoring.seeds import trial_seed
from tests.scoring.plans import write_plan

WORKLOADS = 6
STUDIES, TRIALS = 5, 5
PERIOD = 50
TARGET = Target("validation/loss", "min", 1.0)
HARDWARE = {"cpu": "Example CPU @ 2.50GHz", "cores": 1, "digest": "5f1c09ab7e21"}
VERSIONS = {"gradathlon": "0.1.0", "torch": "2.13.0", "jax": "0.10.2", "python": "3.11.2"}


def write_run(folder: Path, trials: int, evaluations: int) -> int:
    """Write a run of about so many trials of so many evaluations each; how many it has."""
    count = max(1, round(trials / WORKLOADS / STUDIES / TRIALS))
    names = [f"method{place:03}" for place in range(count)]
    ids = [f"w{place}-toy-v1" for place in range(WORKLOADS)]
    budget = Budget(PERIOD * evaluations, PERIOD * evaluations * 0.02)
    write_plan(folder, dict.fromkeys(ids, (TARGET, budget)), dict.fromkeys(names, TRIALS), STUDIES)
    written = 0
    for header in _headers(ids, names, budget):
        path = record_path(folder, header.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in _lines(header, evaluations)))
        written += 1
    return written


def _headers(ids: list[str], names: list[str], budget: Budget) -> Iterator[Header]:
    entrants: list[tuple[str, Framework, int]] = [(name, "torch", TRIALS) for name in names]
    entrants += [("reference-torch", "torch", 1), ("reference-jax", "jax", 1)]
    for workload in ids:
        for submission, framework, trials in entrants:
            for place in range(STUDIES * trials):
                key = TrialKey(workload, submission, *divmod(place, trials))
                yield Header(
                    *key[:2],
                    framework,
                    *key[2:],
                    seed=trial_seed(0, workload, *key[2:]),
                    hyperparameters={"lr": 10 ** random.Random(str(key)).uniform(-4, -1)},
                    source_sha256="0" * 64,
                    target=TARGET,
                    budget=budget,
                    clock="wall",
                    hardware=HARDWARE,
                    versions=VERSIONS,
                    settings_sha256="1" * 64,
                )


def _lines(header: Header, evaluations: int) -> Iterator[str]:
    rng = random.Random(str(header.key))
    speed, step_s = rng.uniform(0.4, 1.2), 0.01 * rng.uniform(0.95, 1.1)
    yield encode(header)
    hit = False
    for index in range(1, evaluations + 1):
        steps, share = index * PERIOD, index / evaluations
        value = 0.6 + 3.0 * 2.0 ** (-6 * speed * share) + rng.uniform(-0.02, 0.02)
        # Only what met the target may say that it did, and it goes on no further in a real race.
        if hit := index == evaluations and value <= 1.0:
            value = min(value, 1.0)
        else:
            value = max(value, 1.0 + 1e-6)
        metrics = {
            "validation/loss": value,
            "validation/accuracy": 1 / (1 + value),
            "train/loss": value,
        }
        yield encode(Evaluation(steps, steps * step_s, steps * step_s * 0.99, metrics))
    end = "reached" if hit else "budget"
    seconds = evaluations * PERIOD * step_s
    extra = {"step_s_median": step_s, "step_s_p10": step_s, "step_s_p90": step_s * 1.1}
    yield encode(Outcome(end, evaluations * PERIOD, seconds, seconds * 0.99, "because", extra))


_KEPT = """
from pathlib import Path
from scoring.index import Keeper
from scoring.records import record_files
keeper = Keeper(Path(sys.argv[1]))
for path in record_files(Path(sys.argv[1])):
    keeper.ended(path)
"""
_CALLED = """
from suite.cli import main
main(sys.argv[1:], standalone_mode=False)
"""
_MEASURED = """
import json, resource, sys
try:
    exec(sys.argv.pop(1))
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"cpu_s": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024}
    print(json.dumps(told), file=sys.stderr)
"""


def measure(code: str, words: Sequence[str], cache: Path) -> dict[str, float]:
    """CPU seconds and MiB of a command, or of other code, with a cache of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, code, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "GRADATHLON_CACHE": str(cache)},
    )
    told: dict[str, float] = json.loads(done.stderr.strip().splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--evaluations", type=int, default=200)
    given = parser.parse_args()
    run = given.folder / f"run{given.trials}x{given.evaluations}"
    if not run.exists():
        print(f"{write_run(run, given.trials, given.evaluations)} trials written", file=sys.stderr)
    page, place = given.folder / "report.html", str(run)
    print(f"{'command':24} {'CPU s':>8} {'MiB':>8}", flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        elsewhere, here = (Path(scratch) / name for name in ("elsewhere", "here"))
        for name, code, words, cache in (
            ("score, from elsewhere", _CALLED, ["score", place], elsewhere),
            ("index, while it races", _KEPT, [place], here),
            ("score", _CALLED, ["score", place], here),
            ("score again", _CALLED, ["score", place], here),
            ("report", _CALLED, ["report", place, "-o", str(page)], here),
            ("export trials", _CALLED, ["score", place, "--format", "trials"], here),
        ):
            told = measure(code, words, cache)
            print(f"{name:24} {told['cpu_s']:8.1f} {told['mib']:8.0f}", flush=True)
        size = sum(path.stat().st_size for path in here.rglob("*") if path.is_file())
    print(f"the page: {os.path.getsize(page) / 1e6:.1f} MB, the index: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
