"""What is sent, as a pure function of the seed. Law: a producer and the checker make the same from the same numbers.

A producer's life is a sequence of ticks, each with one event and what a careless world adds to it: doubles, labels that
come twice, contradict, are late, too early, before their event, of no event, or never; malformed records. Ticks are
drawn in blocks by a generator that is seeded with (seed, producer, block), so any of them can be made again alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from struct import Struct

import numpy as np
from chaos.storm import GRACE_MS, HORIZON_MS
from support.tiny import START

BLOCK = 1_000
STATIONS = 97
_AHEAD_MS, _BEHIND_MS = 10, 3_000
"""When a label is sent that comes before its event, and when that event is."""

_BODY = Struct("<dd")


class Fate(IntEnum):
    """What becomes of an event's label."""

    TIMELY = 0
    NEVER = 1
    LATE = 2
    EARLY = 3  # one that is too early to be this event's, and no other
    EARLY_THEN_TIMELY = 4
    AHEAD = 5  # the label comes before its event


class Second(IntEnum):
    """Whether a second label follows a timely one."""

    NONE = 0
    SAME = 1
    CONTRADICTING = 2


FATES = ((Fate.TIMELY, 0.86), (Fate.NEVER, 0.06), (Fate.LATE, 0.03), (Fate.EARLY, 0.01), (Fate.EARLY_THEN_TIMELY, 0.02))
LABELLED = frozenset({Fate.TIMELY, Fate.EARLY_THEN_TIMELY, Fate.AHEAD})
"""Fates whose events must become examples."""


@dataclass(frozen=True)
class Block:
    """The ticks `first` to `first + BLOCK` of one producer, one array a field."""

    first: int
    temperature: np.ndarray
    pressure: np.ndarray
    wet: np.ndarray
    fate: np.ndarray
    wait_ms: np.ndarray
    second: np.ndarray
    second_wait_ms: np.ndarray
    doubled_after_ms: np.ndarray
    """0: the event is sent once."""
    orphan: np.ndarray
    malformed: np.ndarray
    """0: none; otherwise which kind."""
    station: np.ndarray


@lru_cache(maxsize=8)
def block(seed: int, producer: int, number: int) -> Block:
    """Block `number` of a producer."""
    dice = np.random.default_rng([seed, producer, number])
    warm, high = dice.normal(15, 8, BLOCK), dice.normal(1010, 9, BLOCK)
    names = np.array([f for f, _ in FATES] + [Fate.AHEAD], dtype=np.int8)
    shares = [p for _, p in FATES]
    return Block(
        number * BLOCK,
        np.clip(warm, -80, 55),
        high,
        warm - (high - 1010) / 2 + dice.normal(0, 3, BLOCK) > 15,
        dice.choice(names, BLOCK, p=[*shares, 1 - sum(shares)]),
        dice.integers(50, 12_000, BLOCK),
        dice.choice(np.array(Second, dtype=np.int8), BLOCK, p=[0.94, 0.03, 0.03]),
        dice.integers(1, 8_000, BLOCK),
        np.where(dice.random(BLOCK) < 0.01, dice.integers(1, 5_000, BLOCK), 0),
        dice.random(BLOCK) < 0.01,
        np.where(dice.random(BLOCK) < 0.01, dice.integers(1, 10, BLOCK), 0),
        dice.integers(0, STATIONS, BLOCK),
    )


@dataclass(frozen=True)
class Pace:
    """How the ticks of `producers` producers lie in event time: `rate` events a second of all of them together."""

    rate: float
    producers: int

    def time(self, producer: int, tick: int) -> int:
        """The event time of a tick, in ms since the epoch."""
        return START + int((tick * self.producers + producer) * 1_000 / self.rate)

    def ticks(self, seconds: float) -> int:
        """How many ticks of one producer lie in so much time."""
        return int(seconds * self.rate / self.producers)


@dataclass(frozen=True)
class Outgoing:
    """A record to be sent once event time has come to `due` (ms)."""

    due: int
    role: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True)
class Framing:
    """The five bytes before an event and before a label, by their schemas' ids."""

    event: bytes
    label: bytes


class Ticks:
    """The records of one producer, by tick."""

    def __init__(self, seed: int, producer: int, pace: Pace, framing: Framing) -> None:
        self._seed = seed
        self._producer = producer
        self._pace = pace
        self._framing = framing

    def at(self, tick: int) -> Iterator[Outgoing]:
        """All that comes of one tick, now and later; two records of one id are in the order of their `due`."""
        row, n = block(self._seed, self._producer, tick // BLOCK), tick % BLOCK
        who, time = self._producer, self._pace.time(self._producer, tick)
        id, station = b"%d-%d" % (who, tick), b"s%d" % row.station[n]
        fate, wet = Fate(row.fate[n]), bool(row.wet[n])
        event = self.event(id, time, float(row.temperature[n]), float(row.pressure[n]))
        since = time + _BEHIND_MS if fate is Fate.AHEAD else time
        yield Outgoing(since, "events", station, event)
        if after := int(row.doubled_after_ms[n]):
            yield Outgoing(since + after, "events", station, event)
        yield from self._labels(row, n, id, time, fate, wet)
        if row.orphan[n]:
            key = b"x" + id
            yield Outgoing(time, "feedback", key, self.label(key, time, wet))
        if row.malformed[n]:
            yield self._malformed(int(row.malformed[n]), id, time, event)

    def labelled(self, tick: int) -> tuple[int, bool] | None:
        """When the label becomes known that makes this tick's event an example, and what it says; None if none does."""
        row, n = block(self._seed, self._producer, tick // BLOCK), tick % BLOCK
        fate, time = Fate(row.fate[n]), self._pace.time(self._producer, tick)
        if fate not in LABELLED:
            return None
        return time + (_AHEAD_MS if fate is Fate.AHEAD else int(row.wait_ms[n])), bool(row.wet[n])

    def _labels(self, row: Block, n: int, id: bytes, time: int, fate: Fate, wet: bool) -> Iterator[Outgoing]:
        if fate in (Fate.EARLY, Fate.EARLY_THEN_TIMELY):
            early = self.label(id, time - GRACE_MS - 1_000 - int(row.wait_ms[n]), not wet)
            yield Outgoing(time, "feedback", id, early)
        if fate is Fate.LATE:
            known = time + HORIZON_MS + 1 + int(row.wait_ms[n]) % 4_000
            yield Outgoing(known, "feedback", id, self.label(id, known, wet))
        if fate in LABELLED:
            known = time + (_AHEAD_MS if fate is Fate.AHEAD else int(row.wait_ms[n]))
            first = self.label(id, known, wet)
            yield Outgoing(known, "feedback", id, first)
            again = known + int(row.second_wait_ms[n])
            if row.second[n] == Second.SAME:
                yield Outgoing(again, "feedback", id, first)
            elif row.second[n] == Second.CONTRADICTING:
                yield Outgoing(again, "feedback", id, self.label(id, again, not wet))

    def _malformed(self, kind: int, id: bytes, time: int, good: bytes) -> Outgoing:
        key = b"m" + id
        role = "feedback" if kind == 9 else "events"
        values: dict[int, bytes | None] = {
            1: None,
            2: b"",
            3: good[: len(good) * 2 // 3],
            4: good + b"\0",
            5: b"\x07" + good,
            6: self.event(key, time, float("nan"), 1000.0),
            7: self.event(key, time, 1e308, 1000.0),
            8: self.event(b"", time, 1.0, 1000.0),
        }
        return Outgoing(time, role, key, values.get(kind, self.label(key, time, True) + b"\1"))

    def event(self, id: bytes, time: int, temperature: float, pressure: float) -> bytes:
        """A framed event: written here by hand, as another team's producer would not use our codecs."""
        return self._framing.event + _text(id) + varint(time) + _BODY.pack(temperature, pressure)

    def label(self, id: bytes, time: int, wet: bool) -> bytes:
        """A framed label."""
        return self._framing.label + _text(id) + (b"\1" if wet else b"\0") + varint(time)


def varint(number: int) -> bytes:
    """A long in Avro: zigzag, seven bits a byte, least first."""
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def _text(text: bytes) -> bytes:
    return varint(len(text)) + text
