from __future__ import annotations

from scoring.lines import KINDS
from scoring.schema import FILE, schema, text


def test_the_published_schema_is_the_code_s() -> None:
    assert FILE.read_text() == text(), "python -m scoring.schema"


def test_every_kind_and_key_is_there() -> None:
    made = schema()["$defs"]
    assert set(KINDS) <= set(made)
    assert {"kind", "format", "workload", "target", "budget"} <= set(made["trial"]["required"])
    assert "extra" not in made["outcome"]["properties"]
    assert made["outcome"]["properties"]["end"]["enum"][0] == "reached"
