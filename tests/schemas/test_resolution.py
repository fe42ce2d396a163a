"""Reading with one schema what another wrote: fastavro's resolution is the oracle."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas.strategies import records, values

from streamml.errors import DecodeError, SchemaError
from streamml.schemas import Codec, Registry, problems
from streamml.schemas.canonical import expanded
from streamml.schemas.resolution import resolved

PROMOTIONS = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"], "string": ["bytes"]}
NEW = [("long", 5), (["null", "string"], None), ({"type": "map", "values": "long"}, {"a": 1}), ("string", "x")]


@st.composite
def evolved(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """(writer, a reader that has kept, dropped, promoted, renamed and added fields in a new order, a value)."""
    writer = draw(records())
    fields: list[dict[str, Any]] = []
    for field in writer["fields"]:
        change = draw(st.sampled_from(["keep", "drop", "promote", "rename", "optional"]))
        kind = field["type"]
        if change == "drop":
            continue
        if change == "promote" and isinstance(kind, str) and kind in PROMOTIONS:
            kind = draw(st.sampled_from(PROMOTIONS[kind]))
        if change == "optional" and not isinstance(kind, list):
            kind = ["null", kind]
        name = field["name"]
        fields.append(
            {"name": f"new_{name}", "aliases": [name], "type": kind}
            if change == "rename"
            else {"name": name, "type": kind}
        )
    for i in range(draw(st.integers(0, 2))):
        kind, default = draw(st.sampled_from(NEW))
        fields.append({"name": f"added{i}", "type": kind, "default": default})
    reader = {"type": "record", "name": writer["name"], "fields": draw(st.permutations(fields))}
    return writer, reader, draw(values(writer))


@given(evolved())
def test_the_value_is_that_of_fastavro(case: tuple[Any, Any, Any]) -> None:
    writer, reader, value = case
    assert problems(reader, writer) == []
    registry = Registry()
    registry.add("t-value", 1, 1, writer)
    body = BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(writer), value)
    expected = fastavro.schemaless_reader(BytesIO(body.getvalue()), writer, reader)
    found = Codec(reader, 2, registry).decode(b"\0\0\0\0\1" + body.getvalue())
    assert found == expected
    assert list(found) == [field["name"] for field in reader["fields"]]


def record(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def read(writer: Any, reader: Any, value: Any) -> Any:
    registry = Registry()
    registry.add("t-value", 1, 1, writer)
    return Codec(reader, 2, registry).decode(Codec(writer, 1).encode(value))


def test_a_branch_unknown_to_the_reader_refuses_only_the_records_that_use_it() -> None:
    writer, reader = record(("v", ["null", "double"])), record(("v", "double"))
    assert read(writer, reader, {"v": 1.5}) == {"v": 1.5}
    with pytest.raises(DecodeError, match="field v was null and is now double") as refused:
        read(writer, reader, {"v": None})
    assert refused.value.rule == "schema"
    assert refused.value.field == "v"


def test_a_symbol_unknown_to_the_reader_is_its_default_or_refused() -> None:
    wide = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}
    narrow = {"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A"}
    assert read(record(("e", wide)), record(("e", narrow)), {"e": "C"}) == {"e": "A"}
    assert read(record(("e", wide)), record(("e", narrow)), {"e": "B"}) == {"e": "B"}


def test_what_can_never_be_read_says_which_field() -> None:
    writer, reader = record(("a", "string")), record(("a", "double"))
    with pytest.raises(SchemaError, match="field a was string and is now double"):
        resolved(expanded(writer), expanded(reader))
    with pytest.raises(DecodeError, match="schema id 1 cannot be read: field a was string and is now double"):
        read(writer, reader, {"a": "x"})


def test_defaults_are_fresh_values() -> None:
    writer = record(("a", "long"))
    reader = {**writer, "fields": [{"name": "m", "type": {"type": "map", "values": "long"}, "default": {"a": 1}}]}
    first = read(writer, reader, {"a": 1})
    first["m"]["a"] = 2
    registry = Registry()
    registry.add("t-value", 1, 1, writer)
    codec = Codec(reader, 2, registry)
    data = Codec(writer, 1).encode({"a": 1})
    codec.decode(data)["m"]["a"] = 2
    assert codec.decode(data) == {"m": {"a": 1}}
