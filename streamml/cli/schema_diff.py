"""What changed between two versions of a schema, for a person. Law: one line a field, by its path from the top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from streamml.schemas.canonical import Avro, expanded, kind_of


def schema_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """`+` a field that is new, `-` one that is gone, `~` one whose type or default is another; empty if none is."""
    return list(_records(expanded(before), expanded(after), ""))


def type_name(schema: Avro) -> str:
    """The type in a few words: `double`, `null or string`, `enum of a, b`, `long (timestamp-millis)`."""
    if isinstance(schema, list):
        return " or ".join(type_name(branch) for branch in schema)
    kind = kind_of(schema)
    if not isinstance(schema, dict):
        return kind
    if kind == "enum":
        return f"enum of {', '.join(schema['symbols'])}"
    if kind in ("array", "map"):
        return f"{kind} of {type_name(schema['items' if kind == 'array' else 'values'])}"
    if kind == "fixed":
        return f"fixed of {schema['size']} bytes"
    if kind == "record":
        return f"record {schema['name'].rpartition('.')[2]}"
    logical = schema.get("logicalType")
    return f"{kind} ({logical})" if logical else kind


def _records(before: Avro, after: Avro, path: str) -> Iterator[str]:
    old = {field["name"]: field for field in before["fields"]}
    new = {field["name"]: field for field in after["fields"]}
    for name, field in new.items():
        where = f"{path}{name}"
        if name not in old:
            yield f"+ {where}: {type_name(field['type'])}{_default(field)}"
        else:
            yield from _fields(old[name], field, where)
    yield from (f"- {path}{name}: {type_name(field['type'])}" for name, field in old.items() if name not in new)


def _fields(before: Avro, after: Avro, where: str) -> Iterator[str]:
    nested = _record_in(before["type"]), _record_in(after["type"])
    inner = [] if None in nested else list(_records(*nested, f"{where}."))
    was, now = type_name(before["type"]), type_name(after["type"])
    if was != now:
        yield f"~ {where}: {was} -> {now}{_default(after)}"
    elif _default(before) != _default(after):
        yield f"~ {where}:{_default(before) or ' no default'} ->{_default(after) or ' no default'}"
    yield from inner


def _record_in(schema: Avro) -> Avro | None:
    """The record that a type is, or holds as the one branch, item or value that it has."""
    if isinstance(schema, list):
        return next((found for branch in schema if (found := _record_in(branch)) is not None), None)
    if not isinstance(schema, dict):
        return None
    if schema["type"] == "record":
        return schema
    return _record_in(schema.get("items", schema.get("values")))


def _default(field: Mapping[str, Any]) -> str:
    return f" default {orjson.dumps(field['default']).decode()}" if "default" in field else ""
