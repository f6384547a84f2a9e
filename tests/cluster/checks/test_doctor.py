from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cluster.checks import doctor, packages
from cluster.checks.doctor import Finding
from suite.cli import main


def finding(check: str) -> Finding:
    (found,) = [one for one in doctor.examine() if one.check == check]
    return found


def test_every_check_says_what_it_found_and_what_to_do_where_that_is_not_well() -> None:
    findings = doctor.examine()
    names = [one.check for one in findings]
    assert len(set(names)) == len(names)
    assert {"clock", "pinning", "CPU quota", "SMT siblings", "reference kernel"} <= set(names)
    assert {*packages.FIVE, "accelerators", "memory", "disk for runs"} <= set(names)
    for one in findings:
        assert one.found
        assert bool(one.advice) == (one.state != "ok"), one
        assert "\n" not in one.found + one.advice


@pytest.mark.parametrize(
    ("files", "lent"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota(tmp_path: Path, files: dict[str, str], lent: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert doctor.quota(tmp_path) == lent


def test_a_quota_below_the_cores_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "quota", lambda: 2.5)
    monkeypatch.setattr(doctor, "available_cores", lambda: [0, 1, 2, 3])
    found = doctor._quota()
    assert found.state == "warn"
    assert "quota of 2.5 CPUs, on 4 cores" in found.found
    assert "--at-once" in found.advice
    assert f"CPU quota: {found.found}" in doctor.notes()


def test_threads_of_one_core_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for core in range(6):
        folder = tmp_path / f"cpu{core}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{core % 3},{core % 3 + 3}\n")
    assert doctor.siblings([0, 1, 2, 3], tmp_path) == [[0, 3]]
    assert doctor.siblings([0, 1, 2], tmp_path) == []
    monkeypatch.setattr(doctor, "siblings", lambda cores: [[0, 3]])
    monkeypatch.setattr(doctor, "available_cores", lambda: [0, 1, 2, 3])
    assert "--at-once 3" in doctor._siblings().advice


def test_a_full_disk_and_a_long_path_of_sockets_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1e8))
    assert finding("disk for runs").state == "fail"
    monkeypatch.setattr(doctor.tempfile, "gettempdir", lambda: "/tmp/" + 60 * "x")
    assert finding("socket paths").state == "fail"


def test_a_version_beside_the_pin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "pins", lambda: {"torch": "==2.13.*", "jax": "==0.1.*"})
    monkeypatch.setattr(doctor, "versions", lambda: {"torch": "2.13.0+cpu", "jax": "0.10.2"})
    torch, jax = doctor._packages()
    assert torch.state == "ok"
    assert jax.state == "warn"
    assert "pip install 'jax==0.1.*'" in jax.advice
    monkeypatch.setattr(doctor, "versions", lambda: dict.fromkeys(packages.FIVE, "not installed"))
    assert {one.state for one in doctor._packages()} == {"fail"}


def test_times_that_do_not_repeat_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_kernel_seconds", lambda: [0.01] * 50)
    assert doctor._kernel().state == "ok"
    monkeypatch.setattr(doctor, "_kernel_seconds", lambda: [0.01] * 40 + [0.02] * 10)
    assert "spread 100.0 %" in doctor._kernel().found
    assert doctor._kernel().state == "warn"


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_command_prints_a_line_a_check_and_fails_when_one_does(
    monkeypatch: pytest.MonkeyPatch, state: doctor.State, code: int
) -> None:
    from cluster.executors import ray_nodes
    from suite.commands import doctor as command

    found = Finding("clock", state, "ticks", "" if state == "ok" else "mend it")
    monkeypatch.setattr(command, "examine", lambda folder: [found])
    monkeypatch.setattr(ray_nodes, "ray_here", lambda: Finding("Ray starts", "ok", "with 2 cores"))
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == code, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()[1:]]
    said = "ticks" if state == "ok" else "ticks; mend it"
    assert lines == [f"{state} clock {said}", "ok Ray starts with 2 cores"]
