"""Records damaged in every way that comes to mind: each is refused in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scoring.claims import read_claims
from scoring.details import digest_of
from scoring.ground.words import Budget, TrialKey
from scoring.records import (
    record_path,
)
from suite.cli import main
from tests.scoring.conftest import TARGET, Run
from tests.scoring.plans import write_plan

WORKLOAD = "lm-toy-v2"
NO_NUMBER: list[Any] = [None, "1", "", [1], {"a": 1}, True, 10**400]
NO_COUNT = [*NO_NUMBER, -1, 0.5, "NaN", 2**53 + 1]
NO_SECONDS = [*NO_NUMBER, -0.5, "NaN", "Infinity", "-Infinity"]
NO_TEXT: list[Any] = [None, 1, [], {}, True]
NO_NAME = ["", " ", "x ", "\nx", "x\0", "n" * 301]
NO_DIGEST = [*NO_TEXT, "ab", "g" * 64, "A" * 64, "a" * 63, "a" * 65]
FACTS = {
    "cpu": "AMD EPYC",
    "simd": "avx2",
    "cores": 1,
    "threads": 1,
    "accelerators": [],
    "system": "Linux x86_64",
    "python": "3.11",
    "torch": "2.13",
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "numpy": "2.4.6",
}
OURS = FACTS | {"digest": digest_of(FACTS), "pinned": [0]}
NO_MAPPING: list[Any] = [None, 1, "x", [], True]
VALUES: dict[int, dict[str, list[Any]]] = {
    0: {
        "kind": ["eval", "outcome", "trials", *NO_TEXT],
        "format": [0, 2, 1.0, "1", *NO_MAPPING[:1]],
        "workload": ["lm-toy-v1", "../x", *NO_NAME, *NO_TEXT],
        "submission": ["sgd", "", *NO_TEXT],
        "framework": ["tensorflow", "jax ", *NO_TEXT],
        "study": [1, -1, "0", None, 10**400],
        "trial": [1, -1, "0", None, 0.5],
        "seed": ["7", None, 0.5, [7], -1, 10**400],
        "ruleset": ["self", "targets", "", "outside", *NO_TEXT],
        "hyperparameters": [*NO_MAPPING, {"": 1}, {"lr": {"a": 1}}, {"lr": [[1]]}, {"lr": 10**400}],
        "source_sha256": NO_DIGEST,
        "settings_sha256": NO_DIGEST,
        "data_sha256": NO_DIGEST,
        "steps_are": ["draws", *NO_TEXT],
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
            *({"cpu": value} for value in NO_NAME),
            {"accelerators": "none"},
            {"accelerators": [1]},
            {"accelerators": [{"name": 1}]},
            *({"pinned": value} for value in (0, [0.5], ["0"], [1, 1], [-1], [True])),
            *({"ranks": value} for value in [*NO_COUNT, 0]),
            OURS | {"digest": "0123456789ab"},
            OURS | {"cpu": "another"},
            OURS | {"cores": 2},
            OURS | {"note": "more than was digested"},
        ],
        "versions": [*NO_MAPPING, {"torch": 2}, {"": "1"}, *({"torch": one} for one in NO_NAME)],
    },
    1: {
        "kind": ["trial", "outcome", "evaluation", *NO_TEXT],
        "steps": [*NO_COUNT, 4001, 200, 201],
        "wall_s": [*NO_SECONDS, 20.5],
        "cpu_s": [*NO_SECONDS, 10.5],
        "metrics": [
            *(None, "0.5", [], 1, {"a": None}, {"a": "low"}, {"a": [1]}, {"a": 10**400}),
            *({name: 1.0} for name in NO_NAME),
            *({f"diagnostics/{name}": -0.5} for name in ("weight_norm", "feature_rank")),
            *({f"validation/{name}": 1.5} for name in ("accuracy", "recall_at_10", "auc")),
        ],
        "paired": ["x", -1.0, [1], True, "NaN"],
    },
    2: {
        "steps": [*NO_COUNT, 4001, 1],
        "wall_s": [*NO_SECONDS, 0.5, 500.0, 1e11],
        "cpu_s": [*NO_SECONDS, 0.5, 1e9],
        "metrics": [{}, {"validation/loss": 1.5}, {"validation/loss": "NaN"}],
    },
    3: {
        "kind": ["eval", "trial", "end", *NO_TEXT],
        "end": ["budget", "pruned", "won", "", *NO_TEXT],
        "steps": [*NO_COUNT, 1],
        "wall_s": [*NO_SECONDS, 0.5],
        "cpu_s": [*NO_SECONDS, 0.5, 1e9],
        "reason": [*NO_TEXT, "", " \n"],
        "witness_wall_s": [*NO_SECONDS, 1.0],
        "evaluation_s": NO_SECONDS,
        "step_s_median": NO_SECONDS,
        "off_clock_share": [*NO_SECONDS, 1.5],
        "step_s_unsteady": [None, 1, "no"],
        "attempts": NO_COUNT,
        "leftover_processes": NO_COUNT,
        "test": [
            *NO_MAPPING,
            {"test/accuracy": 1.5},
            {"": 1.0},
            {"test/loss": None},
            {"test/loss": "low"},
            {"test/loss": 10**400},
        ],
        "weights_sha256": [*NO_TEXT, "", "ab", "g" * 64, "A" * 64],
        "doubt": [*NO_TEXT, ""],
        "fault": [*NO_TEXT, ""],
        "audit": [None, 1, {}, "opened", [1], [""]],
    },
}
OPTIONAL = ("ruleset", "settings_sha256", "data_sha256", "steps_are")
NEEDED = {
    0: [key for key in VALUES[0] if key not in OPTIONAL],
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


def keys_changed(place: int, values: dict[str, Any]) -> Damage:
    def damage(path: Path) -> None:
        for key, value in values.items():
            key_changed(place, key, value)(path)

    return damage


def both(first: Damage, second: Damage) -> Damage:
    def damage(path: Path) -> None:
        first(path)
        second(path)

    return damage


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


def of_circumstances() -> Iterator[tuple[str, Damage]]:
    """What one key says of another."""
    quick = {"step_s_p10": 0.01, "step_s_median": 0.01, "step_s_p90": 0.02}
    for told in (
        quick | {"step_s_median": 0.03},
        quick | {"step_s_p90": 0.001},
        quick | {"step_s_unsteady": False},
        quick | {"step_s_p90": 0.015, "step_s_unsteady": True},
        {"witness_wall_s": 100.0, "off_clock_share": 0.5},
    ):
        yield f"outcome with {told}", keys_changed(3, told)
    for event in (
        {"at": 101},
        {"at": -1},
        {"accuracy": 1.5},
        {"accuracy": [0.5, "x"]},
        {"classes": [0.5]},
    ):
        text = json.dumps({"kind": "event", "steps": 100, "wall_s": 10.0, "name": "x"} | event)
        yield f"event with {event}", lines_changed(lambda lines, e=text: lines.insert(2, e))
    for name in NO_NAME:
        text = json.dumps({"kind": "event", "steps": 100, "wall_s": 10.0, "name": name})
        yield f"event {name!r}", lines_changed(lambda lines, e=text: lines.insert(2, e))
    torch = {"hardware": OURS, "versions": {"torch": "2.14"}}
    yield "another torch", keys_changed(0, torch)
    ours = keys_changed(0, {"settings_sha256": "ab" * 32})
    for place, told in (
        (1, {"metrics": {"validation/loss": 2.0}}),
        (2, {"metrics": {"validation/loss": 1.0, "other": 0.0, "more": 0.0}}),
        (3, {"wall_s": 20.25}),
        (3, {"steps": 201}),
    ):
        yield f"of ours, line {place + 1}: {told}", both(ours, keys_changed(place, told))


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
    yield from of_circumstances()
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
    assert count > 590


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
        # These hits were never raced: `verify` says that it has no weights to judge.
        assert result.exit_code in ((2,) if command == "verify" else (0, 1)), result.output
        path.unlink()
        race.add(WORKLOAD, "adamw", [20.0])
