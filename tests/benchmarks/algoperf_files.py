"""AlgoPerf's published submission files, one by one: which run here, and how far they come.

    python -m tests.benchmarks.algoperf_files FOLDER [-w WORKLOAD ..] [--steps N] [-o rows.jsonl]

FOLDER is a checkout with `submission.py` files anywhere below. Each is trained for some steps on
the workload's own data, in a process of its own and off any clock: this is no race. A line tells
the judged metric before and after, or the one sentence with which the file is refused.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SEED = 7
LIMIT_S = 900.0


def main() -> None:
    """Print a Markdown table; rows are kept as JSON lines, and those at hand are not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-w", "--workload", action="append")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("-k", "--only", default="", help="files whose path holds this")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    known = _known(given.output)
    for path in sorted(given.folder.rglob("submission.py")):
        name = path.parent.relative_to(given.folder).as_posix()
        for workload in given.workload or ["lm-toy-v2"]:
            if given.only not in name or (name, workload) in known:
                continue
            row = {"file": name, "workload": workload} | _tried(path, workload, given.steps)
            if given.output:
                with given.output.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(_line(row), flush=True)


def _known(output: Path | None) -> set[tuple[str, str]]:
    if output is None or not output.exists():
        return set()
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    return {(row["file"], row["workload"]) for row in rows}


def _line(row: dict[str, Any]) -> str:
    cells = [row["file"], row.get("framework", ""), row["workload"]]
    if "why" in row:
        return f"| {' | '.join(cells)} | {row['why']} |"
    told = f"{row['steps']} steps: {row['metric']} {row['before']:.4g} to {row['after']:.4g}"
    return f"| {' | '.join(cells)} | {told} |"


def _tried(path: Path, workload: str, steps: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, str(path), workload, steps))
    process.start()
    theirs.close()
    row: dict[str, Any] = {}
    try:
        while ours.poll(LIMIT_S):
            row = ours.recv()
        row["why"] = f"no answer for {LIMIT_S:g} s"
    except EOFError:
        pass
    process.kill()
    process.join()
    return row


def _answer(pipe: Connection, path: str, workload: str, steps: int) -> None:
    from cluster.process import set_environment
    from scoring.ground.words import Resources

    os.dup2(2, 1)  # what files print is talk
    set_environment(Resources())
    row: dict[str, Any] = {"why": "nothing was tried"}
    try:
        for row in _trained(path, workload, steps):
            pipe.send(row)
    except Exception as error:
        known = type(error).__name__ in ("SubmissionError", "StateError")
        why = str(error) if known else f"{type(error).__name__}: {error}"
        pipe.send({**row, "why": " ".join(why.split())[:400].replace(path, "submission.py")})


def _trained(path: str, workload: str, steps: int) -> Iterator[dict[str, Any]]:
    import workloads
    from cluster.entry import Seeds, make_entry
    from cluster.learners import make_learner
    from cluster.learners.contract import LearnersPolicy
    from cluster.process import seed_globals
    from scoring.ground.words import Budget, Resources
    from submissions.source import find

    source = find(path)
    row: dict[str, Any] = {"framework": source.framework, "why": "no step was made"}
    yield row
    chosen = workloads.get(workload)
    race, settings = chosen.race, chosen.settings
    known = race.budget if race else settings.provisional_budget
    seeds, resources = Seeds.of(SEED), Resources()
    budget = Budget(known.steps, known.seconds)
    entry = make_entry(chosen, source, {}, seeds, budget=budget, resources=resources)
    seed_globals(seeds.own)
    batches = [chosen.batch_like(seed) for seed in range(3)]
    learner = make_learner(source.framework, entry, batches, chosen.observations_like())
    stream = chosen.stream(seeds.stream)
    policy = LearnersPolicy(learner)

    def judged(since: int) -> float:
        learner.prepare_evaluation()
        window = learner.drain().window(since)
        found = chosen.evaluate(learner.judged(), "validation", stream, window)
        learner.resume_training()
        return found[chosen.metric.name]

    seed_globals(seeds.own)
    learner.begin()
    values, period = [], max(1, steps // 4)
    for step in range(1, steps + 1):
        learner.step(lambda: stream.next(policy))
        if step == 1 or step % period == 0:
            values.append(judged(1 if step == 1 else period))
    told = {"metric": chosen.metric.name, "before": values[0], "after": values[-1]}
    yield {"framework": source.framework, "steps": steps, **told}
    stream.close()


if __name__ == "__main__":
    main()
