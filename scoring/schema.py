"""The JSON Schema of one line of a trial record, made from the dataclasses that hold the lines.

`python -m scoring.schema` writes it anew; a test keeps the file equal to the code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pydantic
from pydantic.json_schema import JsonSchemaValue

from scoring.details import LARGEST, LATEST, LONGEST, NOT_FINITE
from scoring.ground.words import DIGEST
from scoring.lines import FORMAT, KINDS, EventLine, Header, Outcome

FILE = Path(__file__).with_name("record.schema.json")
_FREE = {EventLine: "details", Outcome: "extra"}
"""Whose further keys stand in the line itself, under any name."""
_NAME = {"minLength": 1, "maxLength": LONGEST}
_COUNT = {"minimum": 0, "maximum": LARGEST}
_DIGEST = {"pattern": DIGEST}
_SECONDS = {"minimum": 0, "maximum": LATEST}
_LIMITS: Mapping[str, Mapping[str, object]] = {
    **dict.fromkeys(("wall_s", "cpu_s", "paired"), _SECONDS),
    **dict.fromkeys(("steps", "study", "trial", "seed"), _COUNT),
    **dict.fromkeys(("workload", "submission", "name"), _NAME),
    **dict.fromkeys(("source_sha256", "settings_sha256", "data_sha256"), _DIGEST),
    "reason": {"pattern": r"\S"},
}
"""Of keys in any kind of line, beyond their types."""


def schema() -> dict[str, object]:
    """The schema, draft 2020-12."""
    definitions: dict[str, JsonSchemaValue] = {}
    for word, kind in KINDS.items():
        form = pydantic.TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}")
        definitions |= form.pop("$defs", {})
        properties = {"kind": {"const": word}, **form["properties"]}
        free = _FREE.get(kind)
        properties.pop(free or "", None)
        required = [name for name in form.get("required", []) if name != free]
        if kind is Header:
            properties["format"] = {"const": FORMAT}
            required.insert(0, "format")
        if "metrics" in properties:
            number = {"anyOf": [{"type": "number"}, {"enum": list(NOT_FINITE)}]}
            properties["metrics"] = {"type": "object", "additionalProperties": number} | {
                "propertyNames": _NAME
            }
        for name, limits in _LIMITS.items():
            if name in properties:
                properties[name] = {**properties[name], **limits}
        definitions[word] = {
            "type": "object",
            "description": (kind.__doc__ or "").split("\n\n")[0],
            "properties": properties,
            "required": ["kind", *required],
        }
    # Logs of other benchmarks were held against none.
    endless = {"anyOf": [{"type": "number", "minimum": 0}, {"const": "Infinity"}]}
    definitions["Budget"]["properties"]["seconds"] = {"title": "Seconds", **endless}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of a Gradathlon trial record, format {FORMAT}",
        "oneOf": [{"$ref": f"#/$defs/{word}"} for word in KINDS],
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """The schema's file."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
