from __future__ import annotations

import json
import math

import jsonschema
import pytest

from scoring.ground.words import Budget, Held, Target
from scoring.lines import KINDS, EventLine, Header, decode, encode
from scoring.schema import FILE, schema, text
from tests.scoring.conftest import header, lines


def test_the_published_schema_is_the_code_s() -> None:
    assert FILE.read_text() == text(), "python -m scoring.schema"


def test_every_kind_and_key_is_there() -> None:
    made = schema()["$defs"]
    assert set(KINDS) <= set(made)
    assert {"kind", "format", "workload", "target", "budget"} <= set(made["trial"]["required"])
    assert "extra" not in made["outcome"]["properties"]
    assert made["outcome"]["properties"]["end"]["enum"][0] == "reached"


@pytest.mark.parametrize(
    "head",
    [
        header(),
        header(budget=Budget(2**53, math.inf), clock="paired", steps_are="batches"),
        header(budget=Budget(100, 1.0, 25.5), target=Target("a", "max", None, Held(3, 0.1))),
        header(target=None, ruleset="targets", settings_sha256="a" * 64),
    ],
)
def test_what_is_written_and_read_is_of_the_schema(head: Header) -> None:
    event = EventLine(3, 1.0, "shift", {"at": 2, "accuracy": [0.5]})
    written = [encode(line) for line in [*lines(head, 20.0, test={"a": math.nan}), event]]
    assert all(decode(line) for line in written)
    for line in written:
        jsonschema.validate(json.loads(line), schema())


@pytest.mark.parametrize("seconds", ["NaN", "-Infinity", -1.0, "soon"])
def test_a_budget_that_is_refused_is_not_of_the_schema(seconds: object) -> None:
    body = json.loads(encode(header()))
    body["budget"]["seconds"] = seconds
    with pytest.raises(ValueError, match=r"budget\.seconds"):
        decode(json.dumps(body))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, schema())
