"""The fingerprint: which accelerators a process has, and what makes two machines differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import hardware
from cluster.trial.step_time import seconds_a_step
from scoring.ground.words import Resources

from .conftest import Make

ROWS = """\
0, GPU-aaaa-1, NVIDIA H100, 81559 MiB, 570.1
1, GPU-bbbb-2, NVIDIA L4, 23034 MiB, 570.1
"""
LISTED = """\
GPU 0: NVIDIA H100 (UUID: GPU-aaaa-1)
  MIG 1g.10gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd-4)
GPU 1: NVIDIA L4 (UUID: GPU-bbbb-2)
"""


@pytest.fixture
def two_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi lists two devices."""
    program = tmp_path / "nvidia-smi"
    listed = f'if [ "$1" = -L ]; then cat <<END\n{LISTED}END\nexit; fi'
    program.write_text(f"#!/bin/sh\n{listed}\ncat <<END\n{ROWS}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hardware.accelerators.cache_clear()


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        (None, ["NVIDIA H100", "NVIDIA L4"]),
        ("1", ["NVIDIA L4"]),
        ("GPU-aaaa", ["NVIDIA H100"]),
        ("", []),
        ("1,0", ["NVIDIA L4", "NVIDIA H100"]),
        ("MIG-dddd-4", ["NVIDIA H100 MIG 3g.40gb"]),
        ("GPU-bbbb,MIG-cccc", ["NVIDIA L4", "NVIDIA H100 MIG 1g.10gb"]),
    ],
)
@pytest.mark.usefixtures("two_devices")
def test_only_devices_that_the_process_may_use_are_named(
    shown: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    found = hardware.fingerprint(Resources(gpus=2))["accelerators"]
    assert [device["name"] for device in found] == names
    hardware.accelerators.cache_clear()


def test_cores_change_the_digest_and_nothing_else_does() -> None:
    one, again, two = (hardware.fingerprint(Resources(cores=n))["digest"] for n in (1, 1, 2))
    assert one == again != two


@pytest.mark.slow
@pytest.mark.network
def test_a_steps_time_is_measured_without_a_trace(make: Make, tmp_path: Path) -> None:
    spec = make("adamw")
    assert 0 < (seconds_a_step(spec) or 0) < 10
    assert not spec.run.exists()
