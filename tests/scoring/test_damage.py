"""Records damaged in every way that comes to mind: each is refused in one line."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scoring.claims import read_claims
from scoring.columns import Evaluations
from scoring.ground.words import Budget, Target, TrialKey
from scoring.records import (
    Evaluation,
    EventLine,
    Line,
    Outcome,
    RecordError,
    read_record,
    record_path,
)
from suite.cli import main
from tests.scoring.conftest import TARGET, Run, header, write
from tests.scoring.plans import write_plan

WORKLOAD = "lm-toy-v2"
NO_NUMBER: list[Any] = [None, "1", "", [1], {"a": 1}, True, 10**400]
NO_COUNT = [*NO_NUMBER, -1, 0.5, "NaN", 2**53 + 1]
NO_SECONDS = [*NO_NUMBER, -0.5, "NaN", "Infinity", "-Infinity"]
NO_TEXT: list[Any] = [None, 1, [], {}, True]
NO_MAPPING: list[Any] = [None, 1, "x", [], True]
VALUES: dict[int, dict[str, list[Any]]] = {
    0: {
        "kind": ["eval", "outcome", "trials", *NO_TEXT],
        "format": [0, 2, 1.0, "1", *NO_MAPPING[:1]],
        "workload": ["lm-toy-v1", "../x", *NO_TEXT],
        "submission": ["sgd", "", *NO_TEXT],
        "framework": ["tensorflow", "jax ", *NO_TEXT],
        "study": [1, -1, "0", None, 10**400],
        "trial": [1, -1, "0", None, 0.5],
        "seed": ["7", None, 0.5, [7], -1, 10**400],
        "ruleset": ["self", "targets", "", "outside", *NO_TEXT],
        "hyperparameters": NO_MAPPING,
        "source_sha256": NO_TEXT,
        "target": [
            None,
            "1",
            {"metric": "validation/loss", "goal": "min", "value": "x"},
            {"metric": "validation/loss"},
            {"metric": "validation/loss", "goal": "min", "value": 2.0},
            {"metric": "validation/loss", "goal": "max", "value": 1.0},
            {"metric": "validation/loss", "goal": "least", "value": 1.0},
            {"metric": "other", "goal": "min", "value": 1.0},
            {"metric": "validation/loss", "goal": "min", "value": "NaN"},
            {"metric": "validation/loss", "goal": "min", "value": "Infinity"},
        ],
        "budget": [
            None,
            4000,
            {"steps": 4000},
            {"steps": -1, "seconds": 400.0},
            {"steps": 10**7, "seconds": 400.0},
            {"steps": 4000, "seconds": -1.0},
            {"steps": 4000, "seconds": "NaN"},
            {"steps": 4000, "seconds": 1e9},
            {"steps": 4000, "seconds": 400.0, "reference_steps": 0},
        ],
        "clock": ["cpu", "sundial", *NO_TEXT],
        "hardware": [
            *NO_MAPPING,
            *({"cores": value} for value in [*NO_COUNT, 0]),
            *({"cpu": value} for value in NO_TEXT),
            *({"digest": value} for value in NO_TEXT),
            {"accelerators": "none"},
        ],
        "versions": [*NO_MAPPING, {"torch": 2}],
    },
    1: {
        "kind": ["trial", "outcome", "evaluation", *NO_TEXT],
        "steps": [*NO_COUNT, 4001, 200, 201],
        "wall_s": [*NO_SECONDS, 20.5],
        "cpu_s": [*NO_SECONDS, 10.5],
        "metrics": [None, "0.5", [], 1, {"a": None}, {"a": "low"}, {"a": [1]}, {"a": 10**400}],
        "paired": ["x", -1.0, [1], True, "NaN"],
    },
    2: {
        "steps": [*NO_COUNT, 4001, 1],
        "wall_s": [*NO_SECONDS, 0.5, 500.0],
        "cpu_s": [*NO_SECONDS, 0.5],
        "metrics": [{}, {"validation/loss": 1.5}, {"validation/loss": "NaN"}],
    },
    3: {
        "kind": ["eval", "trial", "end", *NO_TEXT],
        "end": ["budget", "pruned", "won", "", *NO_TEXT],
        "steps": [*NO_COUNT, 1],
        "wall_s": [*NO_SECONDS, 0.5],
        "cpu_s": [*NO_SECONDS, 0.5],
        "reason": NO_TEXT,
        "witness_wall_s": NO_SECONDS,
        "evaluation_s": NO_SECONDS,
        "step_s_median": NO_SECONDS,
        "off_clock_share": [*NO_SECONDS, 1.5],
        "step_s_unsteady": [None, 1, "no"],
        "attempts": NO_COUNT,
        "leftover_processes": NO_COUNT,
        "test": [*NO_MAPPING, {"test/loss": None}, {"test/loss": "low"}, {"test/loss": 10**400}],
        "weights_sha256": [*NO_TEXT, "", "ab", "g" * 64, "A" * 64],
        "doubt": NO_TEXT,
        "fault": NO_TEXT,
        "audit": [None, 1, {}, "opened"],
    },
}
NEEDED = {
    0: [key for key in VALUES[0] if key != "ruleset"],
    1: ["kind", "steps", "wall_s", "cpu_s", "metrics"],
    3: ["kind", "end", "steps", "wall_s", "cpu_s", "reason"],
}
Damage = Callable[[Path], None]


def lines_changed(change: Callable[[list[str]], object]) -> Damage:
    def damage(path: Path) -> None:
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("".join(f"{line}\n" for line in lines))

    return damage


def key_changed(place: int, key: str, value: Any) -> Damage:
    def change(lines: list[str]) -> None:
        lines[place] = json.dumps(json.loads(lines[place]) | {key: value})

    return lines_changed(change)


def key_left_out(place: int, key: str) -> Damage:
    def change(lines: list[str]) -> None:
        body = json.loads(lines[place])
        del body[key]
        lines[place] = json.dumps(body)

    return lines_changed(change)


def bytes_put(content: bytes) -> Damage:
    def damage(path: Path) -> None:
        path.write_bytes(content)

    return damage


def placed(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def event(steps: int, wall_s: float) -> str:
    return json.dumps({"kind": "event", "steps": steps, "wall_s": wall_s, "name": "shift"})


def key_twice(place: int, key: str, value: Any) -> Damage:
    def change(lines: list[str]) -> None:
        lines[place] = f"{lines[place][:-1]}, {json.dumps(key)}: {json.dumps(value)}}}"

    return lines_changed(change)


def of_order() -> Iterator[tuple[str, Damage]]:
    for place, steps, wall_s in (
        (2, 99, 10.0),
        (2, 100, 9.0),
        (2, 201, 10.0),
        (2, 100, 20.5),
        (3, 199, 20.0),
        (3, 200, 19.0),
        (3, 201, 20.0),
    ):
        text = event(steps, wall_s)
        change = lambda lines, p=place, e=text: lines.insert(p, e)  # noqa: E731
        yield f"an event at {steps}, {wall_s} before line {place + 1}", lines_changed(change)
    for place, key, value in (
        (0, "study", 0),
        (0, "kind", "trial"),
        (1, "steps", 100),
        (1, "wall_s", 0.1),
        (2, "metrics", {"validation/loss": 0.1}),
        (3, "end", "reached"),
    ):
        yield f"line {place + 1}: {key} twice", key_twice(place, key, value)


def of_structure() -> Iterator[tuple[str, Damage]]:
    texts = {
        "empty object": "{}",
        "a list": "[]",
        "a number": "7",
        "no JSON": "{kind: eval}",
        "half a line": '{"kind": "eval", "steps": 1',
        "nothing": "",
        "deep": "[" * 100_000,
        "a literal": '{"kind": "eval", "steps": Infinity}',
        "two objects": "{} {}",
        "a digit of another script": '{"kind": "eval", "steps": \u0661}',
    }
    for place in (0, 1, 3):
        for name, text in texts.items():
            change = lambda lines, p=place, t=text: lines.__setitem__(p, t)  # noqa: E731
            yield f"line {place + 1}: {name}", lines_changed(change)
    yield "two headers", lines_changed(lambda lines: lines.insert(1, lines[0]))
    yield "two outcomes", lines_changed(lambda lines: lines.append(lines[-1]))
    yield "a line after", lines_changed(lambda lines: lines.append(lines[1]))
    yield "no header", lines_changed(lambda lines: lines.pop(0))
    yield "reversed", lines_changed(lambda lines: lines.reverse())
    yield (
        "evaluations in reverse",
        lines_changed(lambda lines: lines.__setitem__(slice(1, 3), lines[2:0:-1])),
    )
    yield "an evaluation twice", lines_changed(lambda lines: lines.insert(2, lines[1]))
    yield "reached without evaluations", lines_changed(lambda lines: lines.__delitem__(slice(1, 3)))
    yield "the hit left out", lines_changed(lambda lines: lines.pop(2))
    yield "text", bytes_put(b"once upon a time\n")
    yield "zeros", bytes_put(b"\0" * 1000 + b"\n")
    yield "not UTF-8", bytes_put(b"\xff\xfe\n")
    yield "a folder", placed(Path.mkdir)
    yield "a pipe", placed(os.mkfifo)
    yield "a link to nothing", placed(lambda path: path.symlink_to("nowhere"))
    yield "a link to itself", placed(lambda path: path.symlink_to(path.name))
    yield "a device", placed(lambda path: path.symlink_to("/dev/zero"))


def damages() -> Iterator[tuple[str, Damage]]:
    for place, keys in VALUES.items():
        for key, values in keys.items():
            for value in values:
                told = repr(value)[:40]
                yield f"line {place + 1}: {key} = {told}", key_changed(place, key, value)
    for place, names in NEEDED.items():
        for name in names:
            yield f"line {place + 1}: no {name}", key_left_out(place, name)
    yield from of_order()
    yield from of_structure()


@pytest.fixture
def race(new_run: Callable[..., Run]) -> Run:
    run = new_run()
    write_plan(
        run.folder,
        {WORKLOAD: (TARGET, Budget(4000, 400.0))},
        {"adamw": 1, "sgd": 1},
        1,
        frameworks=("torch",),
    )
    for name in ("reference-torch", "adamw", "sgd"):
        run.add(WORKLOAD, name, [20.0])
    return run


def test_every_damage_is_one_line_and_touches_no_other_record(race: Run) -> None:
    path = record_path(race.folder, TrialKey(WORKLOAD, "adamw", 0, 0))
    whole = path.read_bytes()
    sound = read_claims(race.folder)
    assert (len(sound.records), sound.refused) == (3, [])
    others = [one for one in sound.records if one.path != path]
    wrong, count = [], 0
    for name, damage in damages():
        damage(path)
        count += 1
        claims = read_claims(race.folder)
        told = [one.reason for one in claims.refused]
        if claims.records != others or len(told) != 1:
            wrong.append(f"{name}: believed")
        elif not told[0].startswith(f"{path}") or "\n" in told[0] or len(told[0]) > 1000:
            wrong.append(f"{name}: {told[0][:200]}")
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(whole)
    assert wrong == []
    assert count > 450


@pytest.mark.parametrize("command", ["score", "report", "validate", "verify", "export"])
def test_no_command_fails_at_a_damaged_record(race: Run, command: str, tmp_path: Path) -> None:
    path = record_path(race.folder, TrialKey(WORKLOAD, "adamw", 0, 0))
    more = {"report": ["-o", str(tmp_path / "out.html")], "export": ["-o", str(tmp_path / "o.csv")]}
    for damage in (
        key_changed(1, "wall_s", "x"),
        key_changed(0, "study", 10**400),
        bytes_put(b"\xff\n"),
    ):
        damage(path)
        words = [command, str(race.folder), *more.get(command, [])]
        result = CliRunner().invoke(main, words, prog_name="gradathlon")
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert result.exit_code in (0, 1)
        path.unlink()
        race.add(WORKLOAD, "adamw", [20.0])


MEAN = Target("accuracy_mean2", "max", 0.8)
STEADY = [0.5, 0.6, 0.7, 0.9, 0.9]


def means(values: list[float]) -> list[float | None]:
    return [None, *((a + b) / 2 for a, b in itertools.pairwise(values))]


def with_means(path: Path, told: list[float | None], settings: str = "") -> Path:
    head = header(target=MEAN, settings_sha256=settings)
    body: list[Line] = [head]
    for number, (value, mean) in enumerate(zip(STEADY, told, strict=True), 1):
        metrics = {"accuracy": value} | ({} if mean is None else {"accuracy_mean2": mean})
        body.append(Evaluation(number * 10, float(number), float(number), metrics))
    return write(path, [*body, Outcome("reached", 50, 5.0, 5.0, "because")])


def test_a_mean_is_that_of_its_values(tmp_path: Path) -> None:
    assert read_record(with_means(tmp_path / "sound.jsonl", means(STEADY))).outcome
    for place in range(5):
        told = means(STEADY)
        told[place] = 0.95
        with pytest.raises(RecordError, match=rf"jsonl:{place + 2}: metrics.accuracy_mean2: "):
            read_record(with_means(tmp_path / f"{place}.jsonl", told))


def test_a_mean_without_its_values_is_another_tools(tmp_path: Path) -> None:
    for settings in ("", "ab" * 32):
        path = with_means(tmp_path / f"{settings}.jsonl", means(STEADY), settings)
        path.write_text(path.read_text().replace('"accuracy": 0.7, ', ""))
        if settings:
            with pytest.raises(RecordError, match="the mean of "):
                read_record(path)
        else:
            assert read_record(path).outcome


def test_many_evaluations_with_events_among_them_are_held_in_order(tmp_path: Path) -> None:
    body: list[Line] = [header()]
    for number in range(1, 31):
        body.append(EventLine(number * 10, float(number), "shift", {}))
        body.append(Evaluation(number * 10, float(number), float(number), {"validation/loss": 2.0}))
    body.append(Outcome("budget", 300, 30.0, 30.0, "because"))
    whole = read_record(write(tmp_path / "whole.jsonl", body))
    assert (len(whole.evaluations), len(whole.events)) == (30, 30)
    assert isinstance(whole.evaluations, Evaluations)
    for place, steps, wall_s in ((21, 91, 11.0), (21, 99, 10.5), (21, 121, 11.0), (21, 110, 13.0)):
        damaged = [*body]
        damaged[place] = EventLine(steps, wall_s, "shift", {})
        name = f"{steps}-{wall_s}.jsonl"
        with pytest.raises(RecordError, match=r"jsonl:2[23]: (steps|wall_s): .* after"):
            read_record(write(tmp_path / name, damaged))
