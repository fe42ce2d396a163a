"""Partitions are those of Java's default partitioner; aiokafka's murmur2 is the oracle."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from streamml.partitioning import partition_of, partitions_of

JAVA = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
"""From the tests of Apache Kafka, UtilsTest.testMurmur2."""


def expected(key: bytes, partitions: int) -> int:
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


@pytest.mark.parametrize("key", JAVA)
def test_golden_hashes_of_java(key: bytes) -> None:
    assert partition_of(key, 1 << 31) == JAVA[key] & 0x7FFFFFFF


@given(st.lists(st.binary(max_size=40), max_size=120), st.integers(1, 1000))
def test_a_batch_of_any_keys(keys: list[bytes], partitions: int) -> None:
    wanted = [expected(key, partitions) for key in keys]
    assert partitions_of(keys, partitions) == wanted
    assert [partition_of(key, partitions) for key in keys] == wanted


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 36, 255])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 500])
def test_keys_of_one_length(size: int, count: int) -> None:
    keys = [(b"%09d" % i * 30)[:size] for i in range(count)]
    assert partitions_of(keys, 7) == [expected(key, 7) for key in keys]


def test_plain_integers_come_out() -> None:
    assert {type(p) for p in partitions_of([b"%d" % i for i in range(500)], 4)} == {int}
    assert partitions_of([b"a"] * 3, 1) == [0, 0, 0]
