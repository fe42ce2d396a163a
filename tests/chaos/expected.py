"""What must be in the topics, by the seed alone. Law: nothing here looks at Kafka."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from chaos.codes import code_of, id_in_event
from chaos.ticks import BLOCK, Framing, Pace, Ticks, block


@dataclass(frozen=True)
class Told:
    """What one producer says of itself: how many ticks it made, and the event time up to which it sent what was due."""

    ticks: int
    until: int


@dataclass
class Expected:
    """All that was sent. Arrays are by row; `row` gives an event's."""

    first: list[int]
    """The first row of each producer."""
    temperature: np.ndarray
    pressure: np.ndarray
    label: np.ndarray
    """1 and 0 where an event must become an example with this label, -1 where it must not."""
    events: array[int] = field(default_factory=lambda: array("q"))
    feedback: array[int] = field(default_factory=lambda: array("q"))
    said: array[int] = field(default_factory=lambda: array("q"))
    """Beside `feedback`: time (ms) and label of each, see `statement`."""
    malformed: Counter[tuple[str, bytes, bytes | None]] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Rows: events that were made, though the last of them may not have been sent."""
        return len(self.temperature)

    def knows(self, code: int) -> bool:
        """Whether there was such an event."""
        producer, tick = code >> 32, code & 0xFFFFFFFF
        ends = [*self.first[1:], self.count]
        return producer < len(self.first) and self.first[producer] + tick < ends[producer]

    def rows(self, codes: np.ndarray) -> np.ndarray:
        """The rows of events' codes."""
        found: np.ndarray = np.array(self.first, dtype=np.int64)[codes >> 32] + (codes & 0xFFFFFFFF)
        return found


def statement(time: int, wet: bool) -> int:
    """What a label says, as one number."""
    return time << 1 | wet


def expect(seed: int, pace: Pace, framing: Framing, told: Sequence[Told]) -> Expected:
    """All that producers sent that tell this of themselves."""
    first = [sum(t.ticks for t in told[:producer]) for producer in range(len(told))]
    warm, high = [], []
    for producer, each in enumerate(told):
        blocks = [block(seed, producer, number) for number in range((each.ticks + BLOCK - 1) // BLOCK)]
        warm.append(np.concatenate([b.temperature for b in blocks] or [np.zeros(0)])[: each.ticks])
        high.append(np.concatenate([b.pressure for b in blocks] or [np.zeros(0)])[: each.ticks])
    count = sum(t.ticks for t in told)
    found = Expected(first, np.concatenate(warm), np.concatenate(high), np.full(count, -1, dtype=np.int8))
    for producer, each in enumerate(told):
        _send(found, Ticks(seed, producer, pace, framing), producer, each)
    return found


def _send(found: Expected, ticks: Ticks, producer: int, told: Told) -> None:
    for tick in range(told.ticks):
        sent = False
        for out in ticks.at(tick):
            if out.due > told.until:
                continue
            if out.key.startswith(b"m"):
                found.malformed[out.role, out.key, out.value] += 1
            elif out.role == "events":
                found.events.append(producer << 32 | tick)
                sent = True
            else:
                code, said = read_label(out.value or b"")
                found.feedback.append(code)
                found.said.append(said)
        promise = ticks.labelled(tick)
        if sent and promise is not None and promise[0] <= told.until:
            found.label[found.first[producer] + tick] = promise[1]


def read_label(value: bytes) -> tuple[int, int]:
    """(code, statement) of a framed label as producers write it."""
    id = id_in_event(value)
    at = 6 + len(id)
    return code_of(id), statement(_long(value, at + 1), bool(value[at]))


def read_taken(value: bytes) -> int:
    """The statement of a label as streamml passes it on: value, time, id."""
    return statement(_long(value, 6), bool(value[5]))


def _long(value: bytes, at: int) -> int:
    number = shift = 0
    while True:
        byte = value[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1)
        at, shift = at + 1, shift + 7
