"""`RUN/run.yaml` and `RUN/submissions/`: what a run was planned to be, kept beside its trials."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from cluster.run_lock import drive
from scoring.ground.documents import ConfigError
from scoring.ground.files import absent, take_away, write_whole
from scoring.run_file import NAME, TEXTS, Plan, RunFile
from scoring.run_file import read as read_file
from submissions.source import parse
from suite.plan import Planned


def refuse_used(folder: Path) -> None:
    """Make sure that `folder` holds no run yet.

    Raises:
        ConfigError: it holds one, or cannot be looked into.
    """
    try:
        used = (folder / NAME).exists() or (folder / "trials").exists()
    except OSError as error:
        raise _unwritable(folder, error) from None
    if used:
        raise ConfigError(
            f"{folder}: already holds a run; resume it with: gradathlon run --resume -o {folder}, "
            "or choose another folder with -o"
        )


def write(
    folder: Path, planned: Planned, *, versions: Mapping[str, str], hardware: Mapping[str, object]
) -> None:
    """Keep the plan and the submissions' texts in `folder`, which is made when need be.

    Raises:
        ConfigError: the folder cannot be written, or holds a run by now.
        ClusterError: another process has just begun one there.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    file = RunFile(**dict(planned.plan), date=now, versions=dict(versions), hardware=dict(hardware))
    body = file.model_dump(mode="json", exclude={"format"})
    text = yaml.safe_dump({"format": 1, **body}, sort_keys=False, allow_unicode=True, width=100)
    made = absent(folder)
    try:
        with drive(folder):  # who begins one at the same moment is told, and overwrites nothing
            refuse_used(folder)
            (folder / TEXTS).mkdir(exist_ok=True)
            for name, source in planned.sources.items():
                write_whole(folder / TEXTS / name, source.text)
            # Last, so that a folder with this file is whole.
            write_whole(folder / NAME, text)
    except OSError as error:
        take_away(made)
        raise _unwritable(folder, error) from None


def read(folder: Path) -> Planned:
    """The plan of the run in `folder`, with the submissions' texts that it began with.

    Raises:
        ConfigError: there is no run, its `run.yaml` is damaged, or a text has been changed.
        SubmissionError: a text that cannot race.
    """
    file = read_file(folder)
    if file is None:
        raise ConfigError(f"{folder}: no run to resume: it has no {NAME}")
    for trouble in _lacking(file):
        raise ConfigError(f"{folder / NAME}: {trouble}; restore the file")
    sources = {}
    for name, text in file.texts.items():
        origin = os.path.expanduser(text.origin)
        source = parse(text.name, _read_text(folder / TEXTS / name), origin)
        if source.sha256 != text.sha256:
            raise ConfigError(
                f"{folder / TEXTS / name}: changed since the run began (its SHA-256 is not the one "
                f"in {NAME}); restore it, or start a new run"
            )
        sources[name] = source
    plan = Plan(**{name: getattr(file, name) for name in Plan.model_fields})
    return Planned(plan, sources)


def _lacking(plan: Plan) -> Iterator[str]:
    """What parts of a plan ask for and other parts of it do not have."""
    files = {f"submissions.{name}": one.file for name, one in plan.submissions.items()}
    for id, course in plan.workloads.items():
        for framework, reference in course.references.items():
            files[f"workloads.{id}.references.{framework}"] = reference.file
    for key, file in files.items():
        if file not in plan.texts:
            yield f"{key}.file: {file} is not among the stored texts"
    for name, entrant in plan.submissions.items():
        for id in plan.workloads:
            count = len(entrant.on(id))
            if count != plan.suite.studies:
                studies = f"{count} studies, but the suite has {plan.suite.studies}"
                yield f"submissions.{name}: points on {id} of {studies}"


def _read_text(path: Path) -> str:
    try:
        # Bytes, since universal newlines would change the text and with it the digest.
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}; start a new run") from None


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    return ConfigError(f"{folder}: cannot be written: {reason}; choose another folder with -o")
