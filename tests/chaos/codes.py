"""Ids as numbers, so that millions of them fit into arrays. Law: an id has one code, and a code one id."""

from __future__ import annotations

_TICK_BITS = 32
ORPHAN = 1 << 44
"""Set in the code of an id that no event has."""


def code_of(id: bytes) -> int:
    """The code of `PRODUCER-TICK`, or of `xPRODUCER-TICK`."""
    if id[:1] == b"x":
        return code_of(id[1:]) | ORPHAN
    producer, _, tick = id.partition(b"-")
    return int(producer) << _TICK_BITS | int(tick)


def id_of(code: int) -> bytes:
    """The id of a code."""
    mark, left = (b"x", code ^ ORPHAN) if code & ORPHAN else (b"", code)
    return b"%s%d-%d" % (mark, left >> _TICK_BITS, left & (1 << _TICK_BITS) - 1)


def producer_and_tick(id: bytes) -> tuple[int, int]:
    """Of an id that an event has."""
    producer, _, tick = id.partition(b"-")
    return int(producer), int(tick)


def id_in_event(value: bytes) -> bytes:
    """The id in a framed event or label: its first field."""
    size, shift, at = 0, 0, 5
    while True:
        byte = value[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value[at : at + (size >> 1)]
