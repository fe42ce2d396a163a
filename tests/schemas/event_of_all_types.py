"""One event schema with a field of each type, its readers in both formats, and a good event in JSON."""

from __future__ import annotations

from typing import Any

import pytest

from streamml.errors import DecodeError
from streamml.schemas import Codec, EventReader, Registry

SUBJECT = "app.events-value"
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "time", "type": MILLIS},
        {"name": "exact", "type": MICROS},
        {"name": "x", "type": "double"},
        {"name": "small", "type": "float"},
        {"name": "n", "type": "int"},
        {"name": "big", "type": "long"},
        {"name": "flag", "type": "boolean"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "raw", "type": "bytes"},
        {"name": "maybe", "type": ["null", "double"], "default": None},
        {
            "name": "place",
            "type": {"type": "record", "name": "Place", "fields": [{"name": "lat", "type": "double"}]},
        },
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "sizes", "type": {"type": "map", "values": "double"}, "default": {}},
    ],
}
GOOD: dict[str, Any] = {
    "id": "e-1",
    "time": 1_700_000_000_000,
    "exact": 1_700_000_000_123,
    "x": 1.5,
    "small": 0.25,
    "n": 3,
    "big": 1 << 60,
    "flag": True,
    "kind": "A",
    "raw": "\u00ff",
    "maybe": None,
    "place": {"lat": 51.5},
    "tags": ["a"],
    "sizes": {"s": 1.0},
}


def readers() -> tuple[EventReader, EventReader, Codec]:
    registry = Registry()
    codec = Codec(SCHEMA, registry.register(SUBJECT, SCHEMA))
    return EventReader(SCHEMA, "avro", registry, SUBJECT), EventReader(SCHEMA, "json", registry, SUBJECT), codec


AVRO, JSON, CODEC = readers()


def refusal(reader: EventReader, data: bytes | None) -> DecodeError:
    with pytest.raises(DecodeError) as refused:
        reader.read(data)
    assert "\n" not in str(refused.value)
    return refused.value
