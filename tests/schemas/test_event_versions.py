"""Events written with other schemas than the reader's: older, newer, foreign and monstrous ones."""

from __future__ import annotations

from typing import Any

import pytest
from schemas.event_of_all_types import CODEC, GOOD, SCHEMA, SUBJECT, refusal

from streamml.schemas import Codec, EventReader, Registry


def test_a_schema_id_must_belong_to_the_topic() -> None:
    registry = Registry()
    other = registry.register("other-value", {**SCHEMA, "name": "Other"})
    own = registry.register(SUBJECT, SCHEMA)
    reader = EventReader(SCHEMA, "avro", registry, SUBJECT)
    body = CODEC.encode({**GOOD, "raw": b""})[5:]
    foreign = refusal(reader, b"\0" + other.to_bytes(4, "big") + body)
    assert foreign.rule == "schema_id"
    assert str(own) in str(foreign)
    assert refusal(reader, b"\0\0\0\0\1" + body).rule == "schema_id"


def test_a_version_that_comes_later_is_read_at_once() -> None:
    registry = Registry()
    registry.register(SUBJECT, SCHEMA)
    reader = EventReader(SCHEMA, "avro", registry, SUBJECT)
    newer = {**SCHEMA, "fields": [{"name": "more", "type": "string", "default": ""}, *SCHEMA["fields"]]}
    data = Codec(newer, 99).encode({**GOOD, "raw": b"", "more": "x"})
    assert refusal(reader, data).rule == "schema_id"
    registry.add(SUBJECT, 2, 99, newer)
    event = reader.read(data)
    assert list(event) == [field["name"] for field in SCHEMA["fields"]]
    assert event["x"] == GOOD["x"]
    assert event["exact"] == GOOD["exact"] // 1000


def test_a_version_that_cannot_be_read_refuses_each_record() -> None:
    registry = Registry()
    registry.register(SUBJECT, SCHEMA)
    registry.add(SUBJECT, 2, 99, {"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string"}]})
    registry.add(SUBJECT, 3, 100, {"type": "recod"})
    loop = {"type": "record", "name": "Event", "fields": [{"name": "next", "type": ["null", "Event"]}]}
    registry.add(SUBJECT, 4, 101, loop)
    reader = EventReader(SCHEMA, "avro", registry, SUBJECT)
    assert "field time is not in the writer's schema" in str(refusal(reader, b"\0\0\0\0\x63\2a"))
    assert "not an Avro schema" in str(refusal(reader, b"\0\0\0\0\x64\2a"))
    # A recursive record could be nested until the stack of the process overflows.
    assert "contains itself" in str(refusal(reader, b"\0\0\0\0\x65" + b"\2" * 100_000 + b"\0"))


def doubling(levels: int) -> dict[str, Any]:
    """Types that hold the one before twice: 2 ** levels parts in a schema of a few lines."""
    kind: Any = "double"
    for level in range(levels):
        twice = [{"name": "a", "type": kind}, {"name": "b", "type": f"T{level - 1}" if level else kind}]
        kind = {"type": "record", "name": f"T{level}", "fields": twice}
    return {**kind, "name": "Event"}


def nested(levels: int) -> dict[str, Any]:
    kind: Any = "double"
    for _ in range(levels):
        kind = {"type": "array", "items": kind}
    return {"type": "record", "name": "Event", "fields": [{"name": "a", "type": kind}]}


@pytest.mark.parametrize("writer", [doubling(30), nested(15), nested(60), nested(3_000)])
def test_a_monstrous_schema_of_a_producer_refuses_its_records(writer: dict[str, Any]) -> None:
    reader_schema = {"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string", "default": ""}]}
    registry = Registry()
    registry.register(SUBJECT, reader_schema)
    registry.add(SUBJECT, 2, 99, writer)
    assert refusal(EventReader(reader_schema, "avro", registry, SUBJECT), b"\0\0\0\0\x63\0").rule == "schema"


def test_a_field_that_the_reader_does_not_know_may_hold_any_number() -> None:
    registry = Registry()
    reader_schema: dict[str, Any] = {"type": "record", "name": "Event", "fields": [{"name": "id", "type": "string"}]}
    writer = {**reader_schema, "fields": [{"name": "x", "type": "double"}, *reader_schema["fields"]]}
    registry.register(SUBJECT, reader_schema)
    registry.add(SUBJECT, 2, 99, writer)
    data = Codec(writer, 99).encode({"x": float("nan"), "id": "e"})
    assert EventReader(reader_schema, "avro", registry, SUBJECT).read(data) == {"id": "e"}
    assert EventReader(reader_schema, "json", registry, SUBJECT).read(b'{"x": 1e308, "id": "e"}') == {"id": "e"}
