"""Codecs: the bytes are fastavro's in both directions, and whatever else is refused with a rule."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas.strategies import records, values

from streamml.errors import DecodeError, SchemaError
from streamml.schemas import Codec, Registry


def fastavro_encode(schema: Any, value: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def fastavro_decode(schema: Any, body: bytes, reader: Any = None) -> tuple[Any, int]:
    source = BytesIO(body)
    value = fastavro.schemaless_reader(source, fastavro.parse_schema(schema), reader)
    return value, source.tell()


@st.composite
def written(draw: st.DrawFn) -> tuple[Any, Any]:
    schema = draw(records())
    return schema, draw(values(schema))


@given(written())
def test_bytes_and_values_are_those_of_fastavro(case: tuple[Any, Any]) -> None:
    schema, value = case
    codec = Codec(schema, 7)
    data = codec.encode(value)
    assert data == b"\0\0\0\0\7" + fastavro_encode(schema, value)
    assert codec.decode(data) == value
    assert list(codec.decode(data)) == [field["name"] for field in schema["fields"]]


@given(written(), st.data())
def test_a_cut_or_lengthened_record_is_refused(case: tuple[Any, Any], data: st.DataObject) -> None:
    schema, value = case
    codec = Codec(schema, 7)
    good = codec.encode(value)
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(DecodeError) as short:
        codec.decode(good[:cut])
    assert short.value.rule in {"empty", "truncated", "schema_id", "malformed"}
    with pytest.raises(DecodeError) as long:
        codec.decode(good + b"\0")
    assert long.value.rule == "trailing"


@given(records(), st.binary(max_size=60))
def test_any_bytes_give_what_fastavro_gives_or_a_decode_error(schema: Any, body: bytes) -> None:
    codec = Codec(schema, 7)
    try:
        value = codec.decode(codec.header + body)
    except DecodeError:
        return
    expected, read = fastavro_decode(schema, body)
    assert read == len(body)
    assert repr(value) == repr(expected)


@pytest.mark.parametrize(
    ("data", "rule", "says"),
    [
        (None, "empty", "expected the 5-byte Confluent header"),
        (b"", "empty", "expected the 5-byte Confluent header"),
        (b"\1\0\0\0\7\2a", "magic", "0x01; expected 0x00"),
        (b"\0\0\0", "truncated", "3 bytes"),
        (b"\0\0\0\0\x08\2a", "schema_id", "schema id 8; expected 7"),
        (b"\0\0\0\0\7\4a", "truncated", "7 bytes; the record's lengths ask for 8"),
        (b"\0\0\0\0\7\2ab", "trailing", "1 bytes follow the record"),
        (b"\0\0\0\0\7\1a", "malformed", "negative length"),
        (b"\0\0\0\0\7\2\xff", "malformed", "not UTF-8"),
        (b"\0\0\0\0\7" + b"\xff" * 10, "malformed", "more than 64 bits"),
        (b"\0\0\0\0\7\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1a", "truncated", "7"),
    ],
)
def test_what_is_wrong_with_the_bytes_is_named(data: bytes | None, rule: str, says: str) -> None:
    codec = Codec({"type": "record", "name": "R", "fields": [{"name": "s", "type": "string"}]}, 7)
    with pytest.raises(DecodeError) as refused:
        codec.decode(data)
    assert refused.value.rule == rule
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ({"type": "array", "items": "double"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"),
        (
            {"type": "array", "items": {"type": "fixed", "name": "F", "size": 3}},
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1",
        ),
        ({"type": "map", "values": "string"}, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0"),
        ("bytes", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"),
    ],
)
def test_an_absurd_length_costs_no_memory_and_no_time(kind: Any, body: bytes) -> None:
    codec = Codec({"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}, 7)
    with pytest.raises(DecodeError) as refused:
        codec.decode(codec.header + body)
    assert refused.value.rule == "truncated"


def test_a_negative_branch_or_symbol_and_a_wide_int_are_refused() -> None:
    enum = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
    for kind, body in ((["null", "long"], b"\1"), (enum, b"\1"), (enum, b"\4"), ("int", b"\xfe\xff\xff\xff\x1f")):
        codec = Codec({"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}, 7)
        with pytest.raises(DecodeError) as refused:
            codec.decode(codec.header + body)
        assert refused.value.rule == "malformed"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"n": 1}, "Field(R.s) is None"),
        ({"n": "one", "s": "a"}, "n is <one>"),
        ({"n": 2**63, "s": "a"}, "n is"),
        ({"n": 1, "s": b"a"}, "s is"),
        ({"n": 1.5, "s": "a"}, "n is <1.5>"),
    ],
)
def test_a_value_that_does_not_fit_is_a_schema_error(value: dict[str, Any], says: str) -> None:
    fields = [{"name": "n", "type": "long"}, {"name": "s", "type": "string"}]
    codec = Codec({"type": "record", "name": "R", "fields": fields}, 7)
    with pytest.raises(SchemaError, match="cannot write R") as refused:
        codec.encode(value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_field_takes_its_default() -> None:
    fields = [{"name": "n", "type": "long"}, {"name": "s", "type": ["null", "string"], "default": None}]
    codec = Codec({"type": "record", "name": "R", "fields": fields}, 7)
    assert codec.decode(codec.encode({"n": 1})) == {"n": 1, "s": None}


def test_times_are_plain_longs() -> None:
    time = {"type": "long", "logicalType": "timestamp-micros"}
    codec = Codec({"type": "record", "name": "R", "fields": [{"name": "t", "type": time}]}, 7)
    assert codec.decode(codec.encode({"t": 1_700_000_000_000_001})) == {"t": 1_700_000_000_000_001}


def test_records_of_an_older_version_are_read_through_the_registry() -> None:
    registry = Registry()
    old = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}
    new = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "s", "type": ["null", "string"], "default": None}, {"name": "n", "type": "long"}],
    }
    before = Codec(old, registry.register("t-value", old))
    after = Codec(new, registry.register("t-value", new), registry)
    assert after.decode(before.encode({"n": 3})) == {"s": None, "n": 3}
    with pytest.raises(DecodeError, match="unknown"):
        after.decode(b"\0\0\0\0\1\0")
