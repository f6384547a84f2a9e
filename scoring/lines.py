"""The lines of a trial record: what each kind holds, how it is written, and what is refused.

A number that is not finite is written as one of the strings "NaN", "Infinity" and "-Infinity",
so that every line is standard JSON. Where the format has a number these are read back as numbers,
as are the bare literals of older records; in free-form details they stay text.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from scoring import details, ranges
from scoring.details import LARGEST, LATEST, NOT_FINITE, short
from scoring.ground.ends import ENDS, End
from scoring.ground.errors import nearest
from scoring.ground.files import from_home
from scoring.ground.words import Budget, Clock, Facts, Framework, Ruleset, Target, TrialKey

if TYPE_CHECKING:
    import pydantic

FORMAT = 1
StepsAre = Literal["updates", "batches"]


@dataclasses.dataclass(frozen=True)
class Header:
    """The first line of a record: all that identifies the trial and its circumstances.

    `target` is None only in runs that set targets.
    """

    workload: str
    submission: str
    framework: Framework
    study: int
    trial: int
    seed: int
    hyperparameters: Facts
    source_sha256: str
    target: Target | None
    budget: Budget
    clock: Clock
    hardware: Facts
    versions: Mapping[str, str]
    ruleset: Ruleset = "external"
    settings_sha256: str = ""
    """Of the workload's numbers (sizes, data, metric); empty where another tool wrote none."""
    data_sha256: str = ""
    """Of what was trained on; empty where that is made as the trial goes, or none was opened."""
    steps_are: StepsAre = "updates"
    """`batches` where one update may train on several: each of them is a step, and an evaluation
    comes after the update that passes its place on the grid."""

    @property
    def key(self) -> TrialKey:
        """Which trial of its run this is."""
        return TrialKey(self.workload, self.submission, self.study, self.trial)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The clocks' readings and the metrics of the weights at that moment."""

    steps: int
    wall_s: float
    cpu_s: float
    metrics: Mapping[str, float]
    paired: float | None = None
    """Paired time in reference steps, where the trial took turns with the reference."""


@dataclasses.dataclass(frozen=True)
class EventLine:
    """Something that happened in the workload's stream."""

    steps: int
    wall_s: float
    name: str
    details: Facts


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a trial ended, with a sentence for the reason.

    `extra` holds what is known only at the end: step-time statistics (`step_s_median`,
    `step_s_p10`, `step_s_p90`), `evaluation_s` (seconds off the clock), test metrics,
    a failure's traceback.
    """

    end: End
    steps: int
    wall_s: float
    cpu_s: float
    reason: str
    extra: Facts = dataclasses.field(default_factory=dict)
    paired: float | None = None


Line = Header | Evaluation | EventLine | Outcome
KINDS: dict[str, type[Line]] = {
    "trial": Header,
    "eval": Evaluation,
    "event": EventLine,
    "outcome": Outcome,
}
_WORDS = {kind: word for word, kind in KINDS.items()}


def encode(line: Line) -> str:
    """One line of standard JSON, without the newline; what was met tells no user's home folder."""
    body = dataclasses.asdict(line)
    if isinstance(line, EventLine):
        body = _from_home(body.pop("details")) | body  # the line's own fields win
    if isinstance(line, Outcome):
        body = _from_home(body.pop("extra") | body)
    if body.get("paired", 0.0) is None:
        del body["paired"]
    if isinstance(line, Header) and line.target is not None and line.target.held is None:
        del body["target"]["held"]
    head: dict[str, object] = {"kind": _WORDS[type(line)]}
    if isinstance(line, Header):
        head["format"] = FORMAT
    try:
        return json.dumps(head | body, allow_nan=False)
    except ValueError:
        return json.dumps(_standard(head | body), allow_nan=False)


def decode(text: str) -> Line:
    """The inverse of `encode`; unknown keys of events and outcomes are kept, of others ignored.

    Raises:
        ValueError: not a line of this format, in words that name the key.
    """
    try:
        body = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    kind = body.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        hint = nearest(kind, KINDS) if isinstance(kind, str) else ""
        raise ValueError(f"unknown kind {kind!r}{hint}")
    if kind == "trial":
        return _header(body)
    if kind == "eval":
        return _evaluation(body)
    return _event(body) if kind == "event" else _outcome(body)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose every key stands once: of two, readers would take either."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{short(next(n for n in names if names.count(n) > 1))} twice")
    return found


def _header(body: dict[str, Any]) -> Header:
    import pydantic

    check_format(body.pop("format", None))
    for name, key in (("target", "value"), ("budget", "seconds")):
        if isinstance(part := body.get(name), dict) and isinstance(part.get(key), str):
            part[key] = NOT_FINITE.get(part[key], part[key])
    try:
        header = header_form().validate_json(json.dumps(body), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg'].lower()}") from None
    counts = {"study": header.study, "trial": header.trial, "budget.steps": header.budget.steps}
    counts |= {"seed": header.seed}
    for name, value in counts.items():
        _count({name: value}, name)
    _check_words(header)
    details.check_hardware(header.hardware, header.versions)
    aim = header.target.value if header.target else None
    if aim is not None and not math.isfinite(aim):
        raise ValueError(f"target.value: expected a finite number or null, found {aim}")
    if (held := header.target.held if header.target else None) is not None:
        _count({"evaluations": held.evaluations}, "evaluations")
        if not 0 <= held.slack < math.inf:
            raise ValueError(f"target.held.slack: expected 0 or more, found {held.slack}")
    if (most := header.budget.reference_steps) is not None and not most > 0:
        raise ValueError(f"budget.reference_steps: expected more than 0, found {most}")
    if not header.budget.seconds >= 0:
        raise ValueError(f"budget.seconds: expected 0 or more, found {header.budget.seconds}")
    return header


def _check_words(header: Header) -> None:
    names = {"workload": header.workload, "submission": header.submission}
    names |= {"target.metric": header.target.metric} if header.target else {}
    names |= {f"hyperparameters.{short(name)}": name for name in header.hyperparameters}
    for key, name in names.items():
        if not details.is_name(name):
            raise ValueError(f"{key}: expected a name, found {short(name)}")
    for name, value in header.hyperparameters.items():
        _plain(value, f"hyperparameters.{name}")
    for key in ("source_sha256", "settings_sha256", "data_sha256"):
        digest = getattr(header, key)
        if digest and not details.is_digest(digest):
            raise ValueError(f"{key}: expected 64 hexadecimal digits, found {short(digest)}")


def _plain(value: object, key: str) -> None:
    """A hyperparameter is a single value, or a list of them."""
    values = value if isinstance(value, list) else [value]
    for one in values:
        exact = type(one) is not int or abs(one) <= LARGEST
        if not (one is None or isinstance(one, bool | int | float | str)) or not exact:
            raise ValueError(f"{key}: expected a single value, found {short(value)}")


def check_format(format: object) -> None:
    """Refuse any version of the format but this one.

    Raises:
        ValueError: another version, or none.
    """
    if type(format) is int and format > FORMAT:
        raise ValueError(
            f"format {format} was written by a newer Gradathlon (this one reads {FORMAT}); "
            "update it"
        )
    if type(format) is not int or format != FORMAT:
        raise ValueError(f"format: expected {FORMAT}, found {format!r}; not a record of trials")


@functools.cache
def header_form() -> pydantic.TypeAdapter[Header]:
    """The typed form of a header's line."""
    import pydantic

    return pydantic.TypeAdapter(Header)


def _evaluation(body: Facts) -> Evaluation:
    metrics = _given(body, "metrics")
    if not isinstance(metrics, dict):
        raise ValueError(f"metrics: expected a mapping of names to numbers, found {short(metrics)}")
    odd = next((name for name in metrics if not details.is_name(name)), None)
    if odd is not None:
        raise ValueError(f"metrics: expected names, found {short(odd)}")
    values = {name: _number(value, f"metrics.{name}") for name, value in metrics.items()}
    for name, value in values.items():
        if not ranges.holds(name, value):
            raise ValueError(f"metrics.{name}: {value:g} is not {ranges.range_of(name)}")
    return Evaluation(*_moment(body), values, _paired(body))


def _event(body: Facts) -> EventLine:
    steps, wall_s = _count(body, "steps"), _seconds(body, "wall_s")
    name = _text(body, "name")
    if not details.is_name(name):
        raise ValueError(f"name: expected a name, found {short(name)}")
    fields = ("steps", "wall_s", "name")
    told = {key: value for key, value in body.items() if key not in fields}
    details.check(told, details.EVENT)
    if told.get("at", 0) > steps:
        raise ValueError(f"at: {told['at']}, but only {steps} steps were taken")
    return EventLine(steps, wall_s, name, told)


def _outcome(body: Facts) -> Outcome:
    end, reason = _text(body, "end"), _text(body, "reason")
    if not details.is_text(reason):
        raise ValueError("reason: expected text, found none")
    if end not in ENDS:
        raise ValueError(f"end: {end!r} is not a valid end{nearest(end, ENDS)}")
    fields = ("end", "steps", "wall_s", "cpu_s", "reason", "paired")
    extra = {key: value for key, value in body.items() if key not in fields}
    details.check(extra, details.OUTCOME)
    details.check_times(extra)
    for name, value in extra.get("test", {}).items():
        if not ranges.holds(name, _number(value, name)):
            raise ValueError(f"test.{name}: {value} is not {ranges.range_of(name)}")
    outcome = Outcome(ENDS[end].name, *_moment(body), reason, extra, _paired(body))
    details.check_share(outcome.wall_s, extra)
    return outcome


def _moment(body: Facts) -> tuple[int, float, float]:
    return _count(body, "steps"), _seconds(body, "wall_s"), _seconds(body, "cpu_s")


def _paired(body: Facts) -> float | None:
    return None if body.get("paired") is None else _seconds(body, "paired")


def _count(body: Facts, key: str) -> int:
    value = _given(body, key)
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError(f"{key}: expected a whole number, 0 or more, found {short(value)}")
    return value


def _seconds(body: Facts, key: str) -> float:
    value = _number(_given(body, key), key)
    if not 0 <= value <= LATEST:
        raise ValueError(f"{key}: expected finite seconds, 0 to 1e10, found {short(value)}")
    return value


def _number(value: object, key: str) -> float:
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if type(value) is float or (type(value) is int and abs(value) <= LARGEST):
        return value
    raise ValueError(f"{key}: expected a number, found {short(value)}")


def _text(body: Facts, key: str) -> str:
    value = _given(body, key)
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected text, found {short(value)}")
    return value


def _given(body: Facts, key: str) -> Any:
    if key not in body:
        raise ValueError(f"{key}: missing")
    return body[key]


def _from_home(value: object) -> Any:
    """The value with every text as `files.from_home` has it."""
    if isinstance(value, str):
        return from_home(value)
    if isinstance(value, Mapping):
        return {key: _from_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_from_home(item) for item in value]
    return value


def _standard(value: object) -> Any:
    """The value with its non-finite numbers as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _standard(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_standard(item) for item in value]
    return value
