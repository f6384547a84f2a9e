"""A run looked at by who did not race it: its weights judged again, its best raced again."""

from __future__ import annotations

import secrets
from pathlib import Path

from cluster import hardware, kept
from cluster.process import set_environment
from scoring import board
from scoring.claims import read_claims
from scoring.ground.documents import ConfigError
from scoring.ground.words import Resources
from suite import run_file
from suite.plan import Planned
from suite.run import Request, say
from suite.run import run as carry_out


def differences(run: Path) -> list[str]:
    """One line a hit whose weights do not show what its record says.

    Raises:
        ConfigError: the folder holds no records.
        WorkloadError: the data of a workload cannot be had here.
    """
    records = read_claims(run).records
    if not records:
        raise ConfigError(f"{run}: no records in it that can be believed; see gradathlon validate")
    hits = [one for one in records if one.outcome and one.outcome.end == "reached"]
    cores = {int(one.header.hardware.get("cores", 1)) for one in hits}
    set_environment(Resources(max(cores, default=1)))
    lines, judged = [], 0
    for record in hits:
        found = kept.judge_again(record)
        judged += found is not None
        if found:
            lines.append(f"{record.path}: {found}")
    say(f"{run}: {len(hits)} hits, {judged} with weights, {len(lines)} differ")
    return lines


def rerun(run: Path, count: int, seed: int | None) -> int:
    """Race the best submissions of the run's board again, at the same points on fresh seeds.

    Raises:
        ConfigError: no plan to go by, or its folder holds a run already.
    """
    planned = run_file.read(run)
    rows = [row.submission for row in board.compute([run]).rows]
    best = [name for name in rows if name in planned.plan.submissions][:count]
    if not best:
        raise ConfigError(f"{run}: nobody on its board to race again")
    fresh = secrets.randbits(31) if seed is None else seed
    folder = run.resolve().with_name(f"{run.resolve().name}-again")
    run_file.refuse_used(folder)
    again = _on_seed(planned, best, fresh)
    resources = Resources(**planned.plan.suite.resources.model_dump())
    run_file.write(
        folder,
        again,
        versions=hardware.versions(),
        hardware=hardware.fingerprint(resources),
    )
    say(f"{', '.join(best)} again on seed {fresh}, into {folder}")
    return carry_out(Request(output=folder, resume=True))


def _on_seed(planned: Planned, names: list[str], seed: int) -> Planned:
    plan = planned.plan
    entrants = {name: plan.submissions[name] for name in names}
    files = {entrant.file for entrant in entrants.values()}
    files |= {one.file for course in plan.workloads.values() for one in course.references.values()}
    suite = plan.suite.model_copy(update={"seed": seed, "submissions": names})
    kept = {
        "suite": suite,
        "submissions": entrants,
        "texts": {file: text for file, text in plan.texts.items() if file in files},
    }
    sources = {file: source for file, source in planned.sources.items() if file in files}
    return Planned(plan.model_copy(update=kept), sources)
