"""What is written from a file is read back by the topic's own reader as the same event, in either format."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from streamml.files import encoder_of
from streamml.schemas import EventReader, Registry

MICROS = {"type": "long", "logicalType": "timestamp-micros"}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "precise", "type": MICROS},
        {"name": "maybe", "type": ["null", {"type": "long", "logicalType": "timestamp-nanos"}]},
        {"name": "never", "type": ["null", MICROS]},
        {"name": "all", "type": {"type": "array", "items": MICROS}},
        {"name": "by", "type": {"type": "map", "values": MICROS}},
        {"name": "raw", "type": "bytes"},
        {"name": "in", "type": {"type": "record", "name": "In", "fields": [{"name": "at", "type": MICROS}]}},
    ],
}
EVENT: dict[str, Any] = {
    "at": 1_704_067_200_123,
    "precise": 1_704_067_200_123,
    "maybe": 5,
    "never": None,
    "all": [1, 2],
    "by": {"a": 3},
    "raw": b"\x00\xff",
    "in": {"at": 4},
}


@pytest.mark.parametrize("format", ["avro", "json"])
def test_a_round_trip(format: Literal["avro", "json"]) -> None:
    registry = Registry()
    schema_id = registry.register("app.events-value", SCHEMA)
    data = encoder_of(format, SCHEMA, schema_id)(EVENT)
    assert EventReader(SCHEMA, format, registry, "app.events-value").read(data) == EVENT
