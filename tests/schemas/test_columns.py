"""Arrays of optional doubles: the bytes are fastavro's, the values are those that were given, whatever their length."""

from __future__ import annotations

import io
from math import inf, nan
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamml.errors import DecodeError, StreammlError
from streamml.schemas import Codec, Registry

SCHEMA = {
    "type": "record",
    "name": "Losses",
    "fields": [
        {"name": "losses", "type": {"type": "array", "items": ["null", "double"]}},
        {"name": "at", "type": "long"},
    ],
}
CODEC = Codec(SCHEMA, Registry().register("losses-value", SCHEMA))
HEADER = CODEC.encode({"losses": [], "at": 0})[:5]

numbers = st.floats(allow_nan=False, width=64)
lengths = st.sampled_from([0, 1, 15, 16, 17, 63, 64, 65, 200])


def theirs(losses: list[Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, {"losses": losses, "at": 7})
    return HEADER + out.getvalue()


@given(lengths.flatmap(lambda n: st.lists(numbers, min_size=n, max_size=n)))
def test_numbers_alone(losses: list[float]) -> None:
    data = CODEC.encode({"losses": losses, "at": 7})
    assert data == theirs(losses)
    assert CODEC.decode(data) == {"losses": losses, "at": 7}


@given(st.lists(st.one_of(st.none(), numbers), min_size=16, max_size=80))
def test_numbers_with_gaps(losses: list[float | None]) -> None:
    data = CODEC.encode({"losses": losses, "at": 7})
    assert data == theirs(losses)
    assert CODEC.decode(data) == {"losses": losses, "at": 7}


def test_what_is_no_number_but_fits_one() -> None:
    losses = [True, 3, inf, -inf, -0.0] * 8
    found = CODEC.decode(CODEC.encode({"losses": losses, "at": 7}))["losses"]
    assert repr(found) == repr([float(loss) for loss in losses])
    assert repr(CODEC.decode(CODEC.encode({"losses": (nan,) * 20, "at": 7}))["losses"]) == repr([nan] * 20)


def test_bytes_are_numbers_one_by_one() -> None:
    assert CODEC.encode({"losses": b"x" * 32, "at": 7}) == theirs([120.0] * 32)


@pytest.mark.parametrize("wrong", ["1.5", 10**400, [1.0], b"x"], ids=repr)
def test_one_that_does_not_fit_is_refused(wrong: Any) -> None:
    with pytest.raises(StreammlError):
        CODEC.encode({"losses": [0.0] * 20 + [wrong], "at": 7})


def test_several_blocks_and_counts_with_sizes() -> None:
    """As other writers may cut them: two blocks, the second with its count negated and its size in bytes."""
    item = b"\2" + b"\0" * 7 + b"\x3f"
    body = b"\x28" + 20 * item + b"\x2d" + b"\xfe\x02" + 23 * item + b"\0" + b"\x0e"
    found = CODEC.decode(HEADER + body)
    [value] = set(found["losses"])
    assert (len(found["losses"]), found["at"]) == (43, 7)
    assert value == CODEC.decode(HEADER + b"\2" + item + b"\0\x0e")["losses"][0]


def test_every_cut_is_refused() -> None:
    data = CODEC.encode({"losses": [0.5] * 40, "at": 7})
    for end in range(5, len(data)):
        with pytest.raises(DecodeError):
            CODEC.decode(data[:end])


def test_a_count_beyond_the_data_takes_no_memory() -> None:
    with pytest.raises(DecodeError):
        CODEC.decode(HEADER + b"\x80\x80\x80\x80\x80\x80\x80\x80\x40" + b"\2" + b"\0" * 200)
