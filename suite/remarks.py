"""What `gradathlon check` would have said, told after a race: one line a submission and kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cluster.checks.review import worth_a_look
from scoring.records import Record
from submissions.source import Source

SHOWN = 5
"""Entries of one line; `gradathlon check` and `gradathlon validate` tell all."""
_LEFT = {
    "leftover_threads": "threads",
    "leftover_processes": "processes",
    "changed_directory": "a changed working directory",
    "changed_signals": "changed signal handlers",
}
_UNKEPT = "no checkpoint: "


def remarks(records: Iterable[Record], sources: Mapping[str, Source]) -> Iterator[str]:
    """Of each submission: what a reviewer will look at, what it left behind, what it cannot keep.

    `sources` are the submissions that raced, by name; nothing is said of any other.
    """
    raced: dict[str, list[Record]] = {name: [] for name in sources}
    for record in records:
        if record.outcome is not None and record.header.submission in raced:
            raced[record.header.submission].append(record)
    for name, own in raced.items():
        noted = [one for record in own for one in _noted(record)]
        odd = dict.fromkeys([*worth_a_look(sources[name]), *noted])
        if odd:
            yield f"{name} needs review: {_some(list(odd))}"
        left = dict.fromkeys(what for record in own for what in _left(record))
        if left:
            yield f"{name} left after its trials: {_some(list(left))}"
        compiled = [record for record in own if _count(record, "compilations")]
        if compiled:
            yield (
                f"{name}: in {len(compiled)} of {len(own)} trials something was compiled on the "
                "clock; recompilation during a race counts as its time"
            )
        unkept = [text for record in own if (text := _unkept(record))]
        if unkept:
            yield (
                f"{name}: in {len(unkept)} of {len(own)} trials no checkpoint could be written, so "
                f"a killed trial restarts from the beginning: {unkept[0]}"
            )


def _noted(record: Record) -> list[str]:
    assert record.outcome is not None
    trail = record.outcome.extra.get("audit")
    return list(map(str, trail)) if isinstance(trail, list) else []


def _left(record: Record) -> list[str]:
    assert record.outcome is not None
    return [words for name, words in _LEFT.items() if record.outcome.extra.get(name)]


def _count(record: Record, name: str) -> int:
    assert record.outcome is not None
    value = record.outcome.extra.get(name)
    return value if isinstance(value, int) else 0


def _unkept(record: Record) -> str:
    texts = [str(event.details.get("text")) for event in record.events if event.name == "warning"]
    return next((t.removeprefix(_UNKEPT) for t in texts if t.startswith(_UNKEPT)), "")


def _some(entries: list[str]) -> str:
    return "; ".join([*entries[:SHOWN], *(["..."] if len(entries) > SHOWN else [])])
