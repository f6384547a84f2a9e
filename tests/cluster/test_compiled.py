"""JAX's compiled code is kept from one trial to the next, and changes no bit of any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.hardware import instructions
from cluster.supervisor import supervise
from scoring.ground.words import Budget
from scoring.records import Outcome, read_record, record_attempts

from .conftest import Make

NAMES = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES",
)


def test_compiled_code_lies_beside_the_data_by_class_of_cpu(tmp_path: Path) -> None:
    ask = (
        "import os; from cluster.process import set_environment;"
        "from scoring.ground.words import Resources; set_environment(Resources());"
        "print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
    )
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    for given, expected in (
        ({}, str(tmp_path / "jax" / instructions())),
        ({NAMES[0]: "/elsewhere"}, "/elsewhere"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env=clean | {"GRADATHLON_CACHE": str(tmp_path)} | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


@pytest.mark.slow
@pytest.mark.network
def test_a_trial_is_the_same_bit_by_bit_whether_or_not_its_code_was_kept(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(name: str) -> list[object]:
        spec = make("adamw_jax", run=tmp_path / name, budget=Budget(500, 100.0))
        assert isinstance(list(supervise(spec))[-1], Outcome)
        record = read_record(record_attempts(spec.run, spec.key)[-1])
        assert record.outcome
        lines = [(line.steps, line.metrics) for line in record.evaluations]
        return [*lines, record.outcome.end, record.outcome.extra.get("test")]

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADATHLON_CORE_LOCKS", str(tmp_path / "locks"))
    kept = tmp_path / "kept"
    monkeypatch.setenv(NAMES[0], str(kept))
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "0")
    without = race("without")
    assert not list(kept.glob("*-cache"))
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE")
    assert race("first") == without
    entries = {path.name: path.stat().st_mtime_ns for path in kept.glob("*-cache")}
    assert entries
    assert race("second") == without
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("*-cache")}
    assert after == entries, "the second trial compiled nothing anew"
    for path in kept.glob("*-cache"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert race("damaged") == without, "a damaged entry is compiled again"
