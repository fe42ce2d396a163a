"""What counts as compatible: Avro's resolution, read as BACKWARD (the new schema reads what the old one wrote)."""

from __future__ import annotations

from typing import Any

import pytest

from streamml.schemas import problems

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    made = [field if isinstance(field, dict) else {"name": field[0], "type": field[1]} for field in fields]
    return {"type": "record", "name": name, "fields": made, **more}


def enum(*symbols: str, name: str = "E", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F") -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size}


A = ("a", "long")
DEFAULT = {"name": "b", "type": "long", "default": 0}
TREE = record(("next", ["null", "R"]), A)

FINE = {
    "same": (record(A), record(A)),
    "field removed": (record(A, ("b", "string")), record(A)),
    "field added with a default": (record(A), record(A, DEFAULT)),
    "fields in another order": (record(A, ("b", "string")), record(("b", "string"), A)),
    "int to long": (record(("a", "int")), record(("a", "long"))),
    "int to double": (record(("a", "int")), record(("a", "double"))),
    "long to float": (record(("a", "long")), record(("a", "float"))),
    "float to double": (record(("a", "float")), record(("a", "double"))),
    "string to bytes": (record(("a", "string")), record(("a", "bytes"))),
    "bytes to string": (record(("a", "bytes")), record(("a", "string"))),
    "made optional": (record(A), record(("a", ["null", "long"]))),
    "made optional and wider": (record(("a", "int")), record(("a", ["null", "double"]))),
    "branch added": (record(("a", ["null", "long"])), record(("a", ["null", "long", "string"]))),
    "branches reordered": (record(("a", ["null", "long"])), record(("a", ["long", "null"]))),
    "renamed with an alias": (record(A), record({"name": "b", "type": "long", "aliases": ["a"]})),
    "record renamed with an alias": (record(A), record(A, name="S", aliases=["R"])),
    "another namespace": (record(A, namespace="x"), record(A, namespace="y")),
    "symbol added": (record(("e", enum("A"))), record(("e", enum("A", "B")))),
    "symbol removed, with a default": (record(("e", enum("A", "B"))), record(("e", enum("A", default="A")))),
    "items wider": (
        record(("a", {"type": "array", "items": "int"})),
        record(("a", {"type": "array", "items": "long"})),
    ),
    "values wider": (record(("a", {"type": "map", "values": "int"})), record(("a", {"type": "map", "values": "long"}))),
    "nested field with a default": (record(("n", record(A, name="N"))), record(("n", record(A, DEFAULT, name="N")))),
    "long to milliseconds": (record(A), record(("a", MILLIS))),
    "doc only": (record(A), record(A, doc="text")),
    "recursive": (TREE, TREE),
}

BROKEN = {
    "field added": (record(A), record(A, ("b", "long")), "field b is new and has no default"),
    "renamed": (record(A), record(("b", "long")), "field b is new and has no default"),
    "narrower": (record(A), record(("a", "int")), "field a was long and is now int"),
    "double to long": (record(("a", "double")), record(A), "field a was double and is now long"),
    "another type": (record(A), record(("a", "string")), "field a was long and is now string"),
    "no longer optional": (record(("a", ["null", "long"])), record(A), "field a could be null and is now long"),
    "branch removed": (
        record(("a", ["null", "long", "string"])),
        record(("a", ["null", "long"])),
        "field a could be string and is now null or long",
    ),
    "record renamed": (record(A), record(A, name="S"), "the record was of type R and is now of type S"),
    "symbol removed": (record(("e", enum("A", "B"))), record(("e", enum("A"))), "field e lost the symbol B"),
    "enum renamed": (
        record(("e", enum("A"))),
        record(("e", enum("A", name="G"))),
        "field e was of type E and is now of",
    ),
    "fixed resized": (record(("f", fixed(2))), record(("f", fixed(3))), "field f was 2 bytes wide and is now 3"),
    "items": (
        record(("a", {"type": "array", "items": "string"})),
        record(("a", {"type": "array", "items": "long"})),
        "field a[] was string and is now long",
    ),
    "nested": (
        record(("n", record(A, name="N"))),
        record(("n", record(A, ("b", "long"), name="N"))),
        "field n.b is new and has no default",
    ),
    "nested and made optional": (
        record(("n", record(A, name="N"))),
        record(("n", ["null", record(A, ("b", "long"), name="N")])),
        "field n.b is new and has no default",
    ),
    "another unit of time": (
        record(("a", MILLIS)),
        record(("a", MICROS)),
        "field a was in milliseconds and is now in microseconds",
    ),
    "int to microseconds": (
        record(("a", "int")),
        record(("a", MICROS)),
        "field a was in milliseconds and is now in microseconds",
    ),
    "recursive": (
        TREE,
        record(("next", ["null", "R"]), A, ("b", "long")),
        "field b is new and has no default",
    ),
}


@pytest.mark.parametrize("case", FINE)
def test_compatible(case: str) -> None:
    old, new = FINE[case]
    assert problems(new, old) == []


@pytest.mark.parametrize("case", BROKEN)
def test_incompatible(case: str) -> None:
    old, new, why = BROKEN[case]
    assert any(line.startswith(why) for line in problems(new, old)), problems(new, old)


def test_every_field_is_named() -> None:
    old = record(("a", "long"), ("b", "string"))
    new = record(("a", "string"), ("b", "long"), ("c", "long"))
    assert [line.split()[1] for line in problems(new, old)] == ["a", "b", "c"]
