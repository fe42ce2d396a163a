"""Mutations of valid records, and keys and headers as nobody should send them. Law: one seed, the same records for
everyone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

Headers = list[tuple[str, bytes | None]]


class Odd(NamedTuple):
    """A record to be sent; `timestamp` is in ms, 0 stands for now."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 0


DOUBLES = [
    b"\0\0\0\0\0\0\xf0\x7f",  # infinity
    b"\0\0\0\0\0\0\xf0\xff",  # minus infinity
    b"\0\0\0\0\0\0\xf8\x7f",  # not a number
    b"\xa0\xc8\xeb\x85\xf3\xcc\xe1\x7f",  # 1e308
    b"\xff\xff\xff\xff\xff\xff\xef\x7f",  # the greatest
    b"\1\0\0\0\0\0\0\0",  # the smallest
    b"\0\0\0\0\0\0\0\x80",  # minus zero
]
LENGTHS = [
    b"\xfe\xff\xff\xff\x0f",  # a string of 2 GB
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1",  # the least long
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1",  # the greatest long
    b"\xff" * 12,  # a number that never ends
    b"\1",  # a length of -1
    b"\x80\x80\x80\x80\0",  # a zero the long way round
]
TEXT = [b"", b"\0", b"\xed\xa0\x80", b"\xff\xfe", b"null", b"true", b"NaN", b"-Infinity", b"1e308", b"1e999", b'"']
TEXT += [b"}", b"[" * 60, b'{"a":' * 60, b"1" + b"0" * 400, b"\\ud800", b"\\u0000", b"-", b'"id":', b"\xf0\x9f\x8c\xa7"]
PIECES = DOUBLES + LENGTHS + TEXT
SIZES = [70_000, 200_000, 450_000]
"""Bytes of a giant; a broker takes a megabyte, key and value together."""


def mutated(dice: Random, good: Sequence[bytes]) -> bytes | None:
    """One to three changes of a record of `good`, or nothing at all, or noise."""
    kind = dice.random()
    if kind < 0.01:
        return None
    if kind < 0.02:
        return b""
    if kind < 0.05:
        return dice.randbytes(dice.randint(1, 200))
    if kind < 0.052:
        return dice.choice(good) + bytes(dice.choice(SIZES))
    data = bytearray(dice.choice(good))
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        _change(dice, data, good)
    return bytes(data)


def _change(dice: Random, data: bytearray, good: Sequence[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.randint(1, 16))
    match dice.randrange(10):
        case 0 | 1:
            if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
        case 2:
            del data[at:]
        case 3:
            other = dice.choice(good)
            data[at:] = other[dice.randrange(len(other)) :]
        case 4:
            data[1:5] = dice.choice([bytes(4), dice.randbytes(4), b"\x7f\xff\xff\xff", data[2:6]])
        case 5:
            data[at:end] = dice.randbytes(end - at)
        case 6 | 7:
            piece = dice.choice(PIECES)
            data[at : at + len(piece)] = piece
        case 8:
            data[at:at] = dice.choice(PIECES)
        case _:
            data[at:end] = data[at:end] * 2 if dice.random() < 0.5 else b""


def keyed(dice: Random, good: bytes) -> bytes | None:
    """Mostly the key of the record that was mutated; sometimes none, an empty one, noise or a giant."""
    kind = dice.random()
    if kind < 0.1:
        return None
    if kind < 0.15:
        return b""
    if kind < 0.25:
        return dice.randbytes(dice.randint(1, 40))
    if kind < 0.252:
        return dice.randbytes(1) * dice.choice(SIZES)
    return good


def headed(dice: Random) -> Headers:
    """Mostly no headers; sometimes empty, doubled or giant ones, and some that pretend to be ours."""
    if dice.random() < 0.8:
        return []
    choices: Headers = [
        ("", b""),
        ("trace", None),
        ("trace", b"1"),
        ("trace", b"2"),
        ("streamml.quarantine", b"\0\0\0\0\0not a reason"),
        ("streamml.error", b"\xff\xfe"),
        ("\u2603 \x01", dice.randbytes(30)),
        ("big", bytes(20_000)),
        ("n" * 2_000, b"x"),
    ]
    return dice.choices(choices, k=dice.randint(1, 6))


def odd(dice: Random, good: Sequence[bytes]) -> Odd:
    """A mutated record with its key and headers."""
    key, time = keyed(dice, b"m%d" % dice.randrange(1_000)), dice.choice([0, 0, 1, 946_684_800_000])
    return Odd(key, mutated(dice, good), headed(dice), time)
