"""Made-up values of an Avro schema, to try a transform on. Law: the same schema gives the same values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTH = 8
_WORDS = ("a", "b", "c")
_START = 1_700_000_000_000  # ms since the epoch: a plausible event time


def synthetic_events(schema: Mapping[str, Any], count: int = 3) -> list[dict[str, Any]]:
    """`count` canonical events of the record `schema`, none of whose fields is null where it need not be."""
    return [_record(schema, {}, index, 0) for index in range(count)]


def _record(schema: Mapping[str, Any], named: dict[str, Any], index: int, depth: int) -> dict[str, Any]:
    named[schema["name"]] = schema
    if "namespace" in schema:
        named[f"{schema['namespace']}.{schema['name']}"] = schema
    return {
        field["name"]: _value(field["type"], named, index + place, depth + 1)
        for place, field in enumerate(schema["fields"])
    }


def _value(avro: Any, named: dict[str, Any], index: int, depth: int) -> Any:
    if depth > _DEPTH:
        return None
    if isinstance(avro, list):
        kinds = [kind for kind in avro if kind != "null"]
        return _value(kinds[0], named, index, depth) if kinds else None
    if isinstance(avro, str) and avro in named:
        avro = named[avro]
    if not isinstance(avro, Mapping):
        return _primitive(avro, index)
    kind = avro["type"]
    if kind in ("record", "error"):
        return _record(avro, named, index, depth)
    if kind == "enum":
        named[avro["name"]] = avro
        return avro["symbols"][index % len(avro["symbols"])]
    if kind == "array":
        return [_value(avro["items"], named, index + i, depth + 1) for i in range(2)]
    if kind == "map":
        return {"key": _value(avro["values"], named, index, depth + 1)}
    if kind == "fixed":
        named[avro["name"]] = avro
        return bytes(avro["size"])
    if str(avro.get("logicalType", "")).startswith(("timestamp", "local-timestamp")):
        return _START + index
    return _value(kind, named, index, depth)


def _primitive(kind: str, index: int) -> Any:
    values: dict[str, Any] = {
        "boolean": index % 2 == 0,
        "int": 1 + index,
        "long": 1 + index,
        "float": 0.5 + index,
        "double": 0.5 + index,
        "bytes": b"\x00\x01",
        "string": _WORDS[index % len(_WORDS)],
    }
    return values.get(kind)
