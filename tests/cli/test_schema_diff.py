"""What a person is told of a schema's change."""

from __future__ import annotations

from typing import Any

from streamml.cli.schema_diff import schema_diff


def record(*fields: tuple[Any, ...], name: str = "R") -> dict[str, Any]:
    made = [{"name": f[0], "type": f[1], **({"default": f[2]} if len(f) > 2 else {})} for f in fields]
    return {"type": "record", "name": name, "fields": made}


def test_nothing_changed() -> None:
    one = record(("a", "double"), ("b", ["null", "string"], None))
    assert schema_diff(one, {**one, "doc": "more words"}) == []


def test_added_removed_changed() -> None:
    before = record(("a", "int"), ("b", "string"), ("c", "double", 0.0), ("d", "long"))
    after = record(
        ("a", "long"),
        ("c", "double", 1.5),
        ("e", ["null", "string"], None),
        ("d", {"type": "long", "logicalType": "timestamp-millis"}),
    )
    assert schema_diff(before, after) == [
        "~ a: int -> long",
        "~ c: default 0.0 -> default 1.5",
        "+ e: null or string default null",
        "~ d: long -> long (timestamp-millis)",
        "- b: string",
    ]


def test_fields_within_fields_have_paths() -> None:
    def outer(*inner: tuple[Any, ...]) -> dict[str, Any]:
        return record(("values", record(*inner, name="In")), ("all", {"type": "array", "items": "In"}))

    assert schema_diff(outer(("x", "double")), outer(("x", "double"), ("y", "string", ""))) == [
        '+ values.y: string default ""',
        '+ all.y: string default ""',
    ]


def test_types_are_named() -> None:
    enum = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
    fixed = {"type": "fixed", "name": "F", "size": 4}
    after = record(("e", enum), ("f", fixed), ("m", {"type": "map", "values": "long"}), ("r", record(name="In")))
    assert schema_diff(record(), after) == [
        "+ e: enum of a, b",
        "+ f: fixed of 4 bytes",
        "+ m: map of long",
        "+ r: record In",
    ]
