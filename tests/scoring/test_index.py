"""Records out of an index are those that lie in the run, as they are now."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scoring import index
from scoring.claims import Claims, read_claims
from scoring.ground.words import Budget, Held, Target, TrialKey
from scoring.lines import Evaluation, EventLine, Header, Line, Outcome
from scoring.records import Record, record_files, record_path
from tests.scoring.conftest import Run, header, write

COUNT = 6


def body(head: Header, paired: bool = False) -> Iterator[Line]:
    yield head
    for place in range(1, 11):
        metrics = {"validation/loss": 3.0 - place / 5, "other": float("nan")}
        metrics |= {"diagnostics/rank": 1.0 / place} if place % 3 == 1 else {}
        turns = float(place) if paired else None
        yield Evaluation(100 * place, 10.0 * place, 9.0 * place, metrics, turns)
        if place == 2:
            yield EventLine(200, 20.0, "shift", {"to": [1, None], "why": "é"})
    yield Outcome("reached", 1000, 100.0, 90.0, "met", {"step_s_median": 0.1}, 10.0)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose index is worth it, with a cache of its own."""
    monkeypatch.setenv("GRADATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "FROM", COUNT)
    target = Target("validation/loss", "min", 1.0, Held(0, 0.1))
    for study in range(COUNT):
        held = {"target": target, "budget": Budget(4000, 400.0, 50.0)} if study % 2 else {}
        head = header(study=study, clock="paired" if held else "wall", **held)
        path = write(record_path(tmp_path / "run", head.key), list(body(head, bool(held))))
        long_ago(path)
    return tmp_path / "run"


def long_ago(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had been written long ago; the time at which one changes cannot be set."""
    monkeypatch.setattr(index, "SETTLED_NS", -10 * 10**9)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are parsed."""
    seen: list[Path] = []
    real: Callable[[Path], Record] = index.read_placed

    def read(path: Path) -> Record:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(index, "read_placed", read)
    return seen


def indexes(run: Path) -> list[Path]:
    """The parts of all indexes."""
    return list((run.parent / "cache" / "indexes").glob("*/*"))


def same(one: Claims, other: Claims) -> bool:
    assert [repr(r.evaluations[:]) for r in one.records]
    return all(
        a.path == b.path
        and (a.header, a.events, a.outcome, a.torn) == (b.header, b.events, b.outcome, b.torn)
        and (a.sha256, repr(list(a.evaluations))) == (b.sha256, repr(list(b.evaluations)))
        for a, b in zip(one.records, other.records, strict=True)
    )


@pytest.mark.usefixtures("settled")
def test_what_was_read_once_is_not_parsed_again(run: Path, parsed: list[Path]) -> None:
    first = read_claims(run)
    assert len(parsed) == COUNT
    second = read_claims(run)
    assert len(parsed) == COUNT, "all of it came out of the index"
    assert same(first, second)
    assert same(second, read_claims(run, afresh=True))


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("keep_mtime", [False, True])
def test_a_changed_record_is_read_anew(run: Path, parsed: list[Path], keep_mtime: bool) -> None:
    read_claims(run)
    path = record_path(run, TrialKey("lm-toy-v2", "adamw", 3, 0))
    text = path.read_text()
    changed = text.replace('"validation/loss": 2.0', '"validation/loss": 2.5')
    assert len(changed) == len(text)
    assert changed != text
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    path.write_text(changed)
    if keep_mtime:
        long_ago(path)
    again = read_claims(run)
    assert parsed[COUNT:] == [path]
    assert again.records[3].evaluations[4].metrics["validation/loss"] == 2.5
    assert same(again, read_claims(run, afresh=True))


@pytest.mark.usefixtures("settled")
def test_a_record_that_went_and_one_that_came(run: Path) -> None:
    read_claims(run)
    record_path(run, TrialKey("lm-toy-v2", "adamw", 0, 0)).unlink()
    head = header(study=9)
    write(record_path(run, head.key), list(body(head)))
    studies = [record.header.study for record in read_claims(run).records]
    assert studies == [1, 2, 3, 4, 5, 9]


def test_what_was_written_just_now_is_not_kept(run: Path, parsed: list[Path]) -> None:
    read_claims(run)  # every file's state changed within the last seconds
    read_claims(run)
    assert len(parsed) == 2 * COUNT
    assert not indexes(run)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "code", "folder"])
def test_a_damaged_index_is_as_none(run: Path, parsed: list[Path], damage: str) -> None:
    first = read_claims(run)
    (path,) = indexes(run)
    data = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        code = data.replace(index._code().encode(), b"0" * 64)
        damaged = {"cut": data[: len(data) // 2], "empty": b"", "noise": b"\xff" * 99, "code": code}
        path.write_bytes(damaged[damage])
    assert same(first, read_claims(run))
    assert len(parsed) == 2 * COUNT
    assert same(first, read_claims(run))
    assert len(parsed) == 2 * COUNT, "it has been written anew"


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_stops_no_reader(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.parent / "file").write_text("in the way")
    monkeypatch.setenv("GRADATHLON_CACHE", str(run.parent / "file"))
    assert len(read_claims(run).records) == COUNT


@pytest.mark.usefixtures("settled")
def test_the_oldest_indexes_give_way(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LARGEST", 10)
    read_claims(run)
    (old,) = indexes(run)
    run.rename(run.with_name("moved"))
    read_claims(run.with_name("moved"))
    (new,) = indexes(run)
    assert new.parent != old.parent, "an index belongs to a place"


def more(run: Path, studies: range) -> None:
    for study in studies:
        head = header(study=study)
        long_ago(write(record_path(run, head.key), list(body(head))))


@pytest.mark.usefixtures("settled")
def test_new_records_become_a_part_of_their_own(run: Path, parsed: list[Path]) -> None:
    read_claims(run)
    more(run, range(COUNT, 2 * COUNT))
    read_claims(run)
    assert len(indexes(run)) == 2
    again = read_claims(run)
    assert len(parsed) == 2 * COUNT, "each was parsed once"
    assert same(again, read_claims(run, afresh=True))


@pytest.mark.usefixtures("settled")
def test_many_parts_become_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, parsed: list[Path]
) -> None:
    monkeypatch.setattr(index, "PARTS", 2)
    counts = []
    for place in range(4):
        more(run, range(place * COUNT or COUNT, (place + 1) * COUNT))
        read_claims(run)
        counts.append(len(indexes(run)))
    assert counts == [1, 2, 1, 2]
    assert len(parsed) == 4 * COUNT, "each was parsed once"
    assert same(read_claims(run), read_claims(run, afresh=True))


@pytest.mark.usefixtures("settled")
def test_who_races_keeps_the_index_of_its_run(run: Path, parsed: list[Path]) -> None:
    keeper = index.Keeper(run)
    for path in record_files(run):
        assert not indexes(run)
        keeper.ended(path)
    assert len(indexes(run)) == 1
    assert len(parsed) == COUNT
    first = read_claims(run)
    assert len(parsed) == COUNT, "whoever reads it first need not parse it"
    assert same(first, read_claims(run, afresh=True))


def test_who_races_waits_until_a_record_is_certain(
    run: Path, monkeypatch: pytest.MonkeyPatch, parsed: list[Path]
) -> None:
    keeper, paths = index.Keeper(run), list(record_files(run))
    for path in paths:
        keeper.ended(path)
    assert not parsed
    monkeypatch.setattr(index, "SETTLED_NS", -10 * 10**9)
    keeper.ended(paths[0])
    assert set(parsed) == set(paths)


@pytest.mark.usefixtures("settled")
def test_what_changed_since_the_driver_read_it_is_parsed(run: Path, parsed: list[Path]) -> None:
    keeper = index.Keeper(run)
    for path in record_files(run):
        keeper.ended(path)
    time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    path.write_text(path.read_text() + " ")
    assert read_claims(run).records[-1].torn
    assert parsed[COUNT:] == [path]


def test_all_that_decides_how_a_record_is_read_is_in_the_digest_of_the_code() -> None:
    room, found, waiting = Path(index.__file__).parent, set[str](), ["index"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            text = (room / f"{name}.py").read_text()
            whole = re.findall(r"^from scoring\.(\w+) import", text, re.MULTILINE)
            parts = re.findall(r"^from scoring import (.+)$", text, re.MULTILINE)
            waiting += {*whole, *(part for line in parts for part in line.split(", "))} - {"ground"}
    assert found == set(index.DECIDES)


def test_a_small_run_has_none(new_run: Callable[..., Run]) -> None:
    folder = new_run().add("lm-toy-v2", "adamw", [100.0]).folder
    assert json.dumps(len(read_claims(folder).records)) == "1"
