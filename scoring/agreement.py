"""Records held against each other: trials are compared on one target, one setting, one data set.

Where most agree, the odd one is left out and told; where nothing tells which are right, nobody is
scored on that workload, and the others stand.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

from scoring.ground.words import Target, is_reference, short
from scoring.lines import Header
from scoring.records import Record

_AGAIN = "move it away; `gradathlon run --resume` then races that trial again"
_APART = "score it separately"


@dataclasses.dataclass(frozen=True)
class _Aspect:
    """What all trials of a group must have in common.

    Attributes:
        word: what it is called.
        key: where it stands in a header.
        told: what a header says of it; None where it says nothing.
        shown: the same, to be read.
        group: whose trials must have it in common.
        mend: what to do with a record that has another.
    """

    word: str
    key: str
    told: Callable[[Header], Hashable]
    shown: Callable[[Header], str]
    group: Callable[[Header], str]
    mend: str


def aim(target: Target | None) -> str:
    """A target, in words."""
    if target is None:
        return "none"
    sign = "<=" if target.goal == "min" else ">="
    value = "at equal budget" if target.value is None else f"{sign} {target.value!r}"
    held = f", held for {target.held.evaluations} evaluations" if target.held else ""
    held += f" within {target.held.slack!r}" if target.held else ""
    return f"{target.metric} {value}{held}"


def _entry(header: Header) -> str:
    """The group with one source; a reference may differ between workloads."""
    own = is_reference(header.submission)
    return f"{header.submission} on {header.workload}" if own else header.submission


_OF_WORKLOADS = (
    _Aspect(
        word="target",
        key="target",
        told=lambda header: header.target or "none",
        shown=lambda header: aim(header.target),
        group=lambda header: header.workload,
        mend=_APART,
    ),
    _Aspect(
        word="settings",
        key="settings_sha256",
        told=lambda header: header.settings_sha256,
        shown=lambda header: short(header.settings_sha256),
        group=lambda header: header.workload,
        mend=_APART,
    ),
    _Aspect(
        word="data",
        key="data_sha256",
        told=lambda header: header.data_sha256 or None,  # none was opened
        shown=lambda header: short(header.data_sha256),
        group=lambda header: header.workload,
        mend=_AGAIN,
    ),
)
_SOURCE = _Aspect(
    word="source",
    key="source_sha256",
    told=lambda header: header.source_sha256,
    shown=lambda header: short(header.source_sha256),
    group=_entry,
    mend="give it another name",
)


def odd_ones(records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
    """The records of a run that differ from what the others agree on, with one line each.

    Entrants have a vote each, for what most of their own records say; where they are even the
    reference decides, and then the number of records. Where that is even, too, none is odd.
    """
    left = list(records)
    for aspect in (*_OF_WORKLOADS, _SOURCE):
        odd: dict[int, str] = {}
        for name, own in _differing(left, aspect).items():
            right = _agreed(own, aspect.told)
            if right is None:
                continue
            by = [one for one in own if aspect.told(one.header) == right]
            odd |= {
                id(one): _told(one, by, len(own), aspect, name)
                for one in own
                if aspect.told(one.header) != right
            }
        yield from ((one, odd[id(one)]) for one in left if id(one) in odd)
        left = [one for one in left if id(one) not in odd]


def divided(records: Iterable[Record]) -> dict[str, str]:
    """By workload, how its trials differ, where it is undecidable which are right."""
    left = list(records)
    reasons: dict[str, str] = {}
    for aspect in _OF_WORKLOADS:
        for name, own in _differing(left, aspect).items():
            reasons.setdefault(name, _as_in(name, own, aspect))
    return reasons


def differing_source(records: Iterable[Record]) -> str:
    """A line on a submission whose trials are of several sources, "" where there is none."""
    groups = _differing(records, _SOURCE)
    return next((_as_in(name, own, _SOURCE) for name, own in groups.items()), "")


def _differing(records: Iterable[Record], aspect: _Aspect) -> dict[str, list[Record]]:
    """Of each group whose records say different things, those that say anything."""
    groups: dict[str, list[Record]] = {}
    seen: dict[str, set[Hashable]] = {}
    for one in records:
        if (told := aspect.told(one.header)) is not None:
            name = aspect.group(one.header)
            groups.setdefault(name, []).append(one)
            seen.setdefault(name, set()).add(told)
    return {name: own for name, own in groups.items() if len(seen[name]) > 1}


def _agreed(records: Sequence[Record], told: Callable[[Header], Hashable]) -> Hashable:
    """The value to take as right; None if undecidable."""
    by_entrant: dict[str, Counter[Hashable]] = {}
    for one in records:
        by_entrant.setdefault(one.header.submission, Counter())[told(one.header)] += 1
    votes = {name: most for name, own in by_entrant.items() if (most := _most(own)) is not None}
    references = {vote for name, vote in votes.items() if is_reference(name)}
    if (most := _most(Counter(votes.values()))) is not None:
        return most
    if len(references) == 1:
        return next(iter(references))
    return _most(Counter(told(one.header) for one in records))


def _most(counts: Mapping[Hashable, int]) -> Hashable:
    """The majority's value."""
    total = sum(counts.values())
    return next((value for value, count in counts.items() if 2 * count > total), None)


def _told(record: Record, right: Sequence[Record], of: int, aspect: _Aspect, name: str) -> str:
    return (
        f"{record.path}:1: {aspect.key}: {aspect.shown(record.header)}, but {len(right)} of {of} "
        f"records of {name} have {aspect.shown(right[0].header)}; trials with different "
        f"{aspect.word} cannot be scored together: {aspect.mend}"
    )


def _as_in(name: str, records: Sequence[Record], aspect: _Aspect) -> str:
    first = records[0]
    other = next(one for one in records if aspect.told(one.header) != aspect.told(first.header))
    return (
        f"{name}: its trials differ in {aspect.word}, as in {first.path} and {other.path}; "
        "score them separately"
    )
