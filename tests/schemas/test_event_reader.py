"""Events from outside: canonical values, the same from both formats, or a refusal that says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas.event_of_all_types import AVRO, CODEC, GOOD, JSON, SCHEMA, refusal
from schemas.strategies import DOUBLES, FLOATS, INTS, LONGS, TEXT

from streamml.errors import DecodeError
from streamml.schemas import LIMIT

MICRO_TIMES = st.integers(0, 253_402_300_799_999_999)


@given(
    st.fixed_dictionaries(
        {
            "id": TEXT,
            "time": st.integers(0, 253_402_300_799_999),
            "exact": MICRO_TIMES,
            "x": DOUBLES,
            "small": FLOATS,
            "n": INTS,
            "big": LONGS,
            "flag": st.booleans(),
            "kind": st.sampled_from(["A", "B"]),
            "raw": st.binary(max_size=8),
            "maybe": st.none() | DOUBLES,
            "place": st.fixed_dictionaries({"lat": DOUBLES}),
            "tags": st.lists(TEXT, max_size=2),
            "sizes": st.dictionaries(TEXT, DOUBLES, max_size=2),
        }
    )
)
def test_the_same_event_is_the_same_in_both_formats(event: dict[str, Any]) -> None:
    seconds, micros = divmod(event["exact"], 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    written = {**event, "exact": moment.isoformat(), "raw": event["raw"].decode("latin-1")}
    first, second = AVRO.read(CODEC.encode(event)), JSON.read(orjson.dumps(written))
    assert first == second == {**event, "exact": event["exact"] // 1000}
    assert list(first) == list(second) == [field["name"] for field in SCHEMA["fields"]]
    assert [type(value) for value in first.values()] == [type(value) for value in second.values()]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_decode_error(data: bytes) -> None:
    for reader, bytes_ in ((AVRO, data), (AVRO, CODEC.header + data), (JSON, data)):
        try:
            event = reader.read(bytes_)
        except DecodeError:
            continue
        assert list(event) == [field["name"] for field in SCHEMA["fields"]]


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({name: JSONISH | st.just(value) for name, value in GOOD.items()}))
def test_any_json_is_an_event_or_a_decode_error(value: dict[str, Any]) -> None:
    try:
        event = JSON.read(orjson.dumps(value))
    except DecodeError:
        return
    assert CODEC.decode(CODEC.encode(event)) == event


@pytest.mark.parametrize(
    ("change", "rule", "says"),
    [
        ({"x": True}, "schema", "field x is True (bool); expected a number"),
        ({"x": "1"}, "schema", "field x is '1' (str); expected a number"),
        ({"x": None}, "schema", "field x is None (NoneType); expected a number"),
        ({"x": (1 << 53) + 1}, "schema", "expected a number that a double holds exactly"),
        ({"x": 1e308}, "finite", "field x is 1e+308; expected a finite number of magnitude at most 1e+150"),
        ({"maybe": -1e151}, "finite", "field maybe is -1e+151"),
        ({"place": {"lat": 1e200}}, "finite", "field place.lat"),
        ({"sizes": {"s": 1e200}}, "finite", "field sizes{}"),
        ({"small": 1e39}, "finite", "expected a float of 32 bits"),
        ({"n": 1 << 31}, "schema", "expected an integer of 32 bits"),
        ({"n": 1.0}, "schema", "field n is 1.0 (float); expected an integer"),
        ({"n": True}, "schema", "field n is True (bool); expected an integer"),
        ({"big": 1 << 63}, "schema", "expected an integer of 64 bits"),
        ({"flag": 1}, "schema", "expected true or false"),
        ({"kind": "C"}, "schema", "expected one of A, B"),
        ({"raw": "\u0100"}, "schema", "one character a byte"),
        ({"time": "yesterday"}, "schema", "expected an ISO-8601 time"),
        ({"time": 1.5}, "schema", "expected an ISO-8601 time"),
        ({"time": True}, "schema", "expected an ISO-8601 time"),
        ({"place": {}}, "schema", "field place.lat is missing"),
        ({"place": []}, "schema", "field place is [] (list); expected an object"),
        ({"tags": "a"}, "schema", "expected an array"),
        ({"id": "x" * 1000, "x": "y" * 1000}, "schema", "..."),
    ],
)
def test_json_of_the_wrong_kind_says_both_sides(change: dict[str, Any], rule: str, says: str) -> None:
    refused = refusal(JSON, orjson.dumps({**GOOD, **change}))
    assert refused.rule == rule
    assert says in str(refused)
    assert len(str(refused)) < 200


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "json"),
        (b"\xff", "json"),
        (b"[" * 100_000, "json"),
        (b"[]", "schema"),
        (b"null", "schema"),
        (b'{"x": NaN}', "json"),
        (b'{"x": Infinity}', "json"),
        (b'{"x": 1' + b"0" * 400 + b"}", "json"),
        (b'{"id": "\\ud800"}', "json"),
        (b"\0" * (1 << 20), "json"),
    ],
)
def test_what_is_no_json_object(data: bytes | None, rule: str) -> None:
    assert refusal(JSON, data).rule == rule


def test_a_missing_field_takes_its_default_and_an_unknown_one_is_ignored() -> None:
    event = {name: value for name, value in GOOD.items() if name not in ("maybe", "tags", "sizes")}
    read = JSON.read(orjson.dumps({**event, "unknown": [1]}))
    assert (read["maybe"], read["tags"], read["sizes"]) == (None, [], {})
    read["tags"].append("mine")
    assert JSON.read(orjson.dumps(event))["tags"] == []
    del event["x"]
    assert str(refusal(JSON, orjson.dumps(event))) == "field x is missing; expected a number"


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("2024-01-01T00:00:00", 1_704_067_200_000),
        ("2024-01-01T00:00:00Z", 1_704_067_200_000),
        ("2024-01-01T02:00:00+02:00", 1_704_067_200_000),
        ("2024-01-01 00:00", 1_704_067_200_000),
        ("2024-01-01T00:00:00.0019", 1_704_067_200_001),
        ("1969-12-31T23:59:59.9999", -1),
        (1_704_067_200_000, 1_704_067_200_000),
    ],
)
def test_times_are_milliseconds(written: str | int, ms: int) -> None:
    for name in ("time", "exact"):
        assert JSON.read(orjson.dumps({**GOOD, name: written}))[name] == ms


def test_an_integer_is_a_double_if_it_is_exactly_one() -> None:
    value = JSON.read(orjson.dumps({**GOOD, "x": 3}))["x"]
    assert value == 3.0
    assert type(value) is float


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e308, -1.1 * LIMIT])
@pytest.mark.parametrize("path", ["x", "maybe", "place.lat", "sizes{}"])
def test_avro_numbers_that_no_model_survives_are_refused(bad: float, path: str) -> None:
    event = {**GOOD, "raw": b""}
    change: dict[str, dict[str, Any]] = {
        "x": {"x": bad},
        "maybe": {"maybe": bad},
        "place.lat": {"place": {"lat": bad}},
        "sizes{}": {"sizes": {"s": bad}},
    }
    refused = refusal(AVRO, CODEC.encode({**event, **change[path]}))
    assert (refused.rule, refused.field) == ("finite", path)


def test_the_largest_numbers_are_accepted_together() -> None:
    """The quick look at all numbers at once may call for a closer one, but refuses nothing by itself."""
    event = {**GOOD, "raw": b"", "x": LIMIT, "place": {"lat": -LIMIT}, "maybe": LIMIT}
    read = AVRO.read(CODEC.encode(event))
    assert (read["x"], read["place"], read["maybe"]) == (LIMIT, {"lat": -LIMIT}, LIMIT)
