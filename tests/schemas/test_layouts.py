"""Maps of doubles: the bytes are fastavro's, the values are those that were given, whatever keys came before."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamml.errors import DecodeError
from streamml.schemas import Codec, Registry, layouts

SCHEMA = {
    "type": "record",
    "name": "Said",
    "fields": [{"name": "said", "type": {"type": "map", "values": "double"}}, {"name": "at", "type": "long"}],
}

maps = st.dictionaries(st.sampled_from(["a", "b", "no", "yes", "é'\"\n{}", ""]), st.floats(allow_nan=False), max_size=4)


def codec() -> Codec:
    """One that has met nothing yet."""
    return Codec(SCHEMA, Registry().register("said-value", SCHEMA))


HEADER = codec().encode({"said": {}, "at": 0})[:5]


def theirs(said: dict[str, float]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, {"said": said, "at": 7})
    return HEADER + out.getvalue()


@given(st.lists(st.tuples(maps, st.integers(1, 3)), max_size=30))
def test_whatever_came_before(given_: list[tuple[dict[str, float], int]]) -> None:
    tried = codec()
    for said, times in given_:
        for number in range(times):
            value: dict[str, Any] = {"said": {key: found + number for key, found in said.items()}, "at": 7}
            data = tried.encode(value)
            assert data == theirs(value["said"])
            found = tried.decode(data)
            assert repr(found) == repr(value)


def warm() -> Codec:
    """One that expects the keys no and yes."""
    tried = codec()
    for _ in range(3):
        tried.decode(theirs({"no": 0.25, "yes": 0.75}))
    return tried


def entry(key: bytes, value: bytes = b"\0" * 8) -> bytes:
    return bytes([2 * len(key)]) + key + value


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (b"\4" + entry(b"yes") + entry(b"no") + b"\0", ["yes", "no"]),
        (b"\4" + entry(b"no") + entry(b"no") + b"\0", ["no"]),
        (b"\2" + entry(b"no") + b"\2" + entry(b"yes") + b"\0", ["no", "yes"]),
        (b"\3\x2a" + entry(b"no") + entry(b"yes") + b"\0", ["no", "yes"]),
        (b"\4" + entry(b"no") + entry(b"yes") + b"\2" + entry(b"x") + b"\0", ["no", "yes", "x"]),
        (b"\2" + entry(b"no") + b"\0", ["no"]),
        (b"\0", []),
    ],
)
def test_other_writers_cut_their_maps_as_they_like(body: bytes, keys: list[str]) -> None:
    assert warm().decode(HEADER + body + b"\x0e") == {"said": dict.fromkeys(keys, 0.0), "at": 7}


def test_what_is_met_twice_is_read_at_once_and_never_more_than_was_learned() -> None:
    reader = layouts.Reader()
    body = b"\4" + entry(b"no") + entry(b"yes") + b"\0"
    for known in (None, None, ({"no": 0.0, "yes": 0.0}, len(body) + 1)):
        assert reader.read(b"!" + body + b"!", 1) == known
        reader.learn({"no": 0.0, "yes": 0.0})
    for number in range(20):
        for _ in range(2):
            reader.learn({f"k{number}": 0.0})
    # Ever new keys: it has given up.
    assert reader.read(b"\2" + entry(b"k19") + b"\0", 0) is None


def test_every_cut_is_refused() -> None:
    tried, data = warm(), theirs({"no": 0.25, "yes": 0.75})
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            tried.decode(data[:end])
    with pytest.raises(DecodeError):
        tried.decode(data + b"\0")


def test_ever_new_keys_are_read_too() -> None:
    tried: Any = codec()
    for number in range(200):
        for _ in range(3):
            said = {f"k{number}": 1.0, "x": float(number)}
            assert tried.decode(theirs(said))["said"] == said
