"""The join of features, predictions and labels, made again from their logs. Law: written from the law alone (ADR 8), by
other means than the agent: whole logs are looked at one after the other, and no state is ever forgotten.

The agent forgets by slots of time, so a little late: in between both answers are right (`perhaps_…`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

_HEADER = 5
_SLOTS = 256


class Record(Protocol):
    """What the join looks at; times in ms."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass
class Joined:
    """What must have come of one partition."""

    bodies: dict[bytes, bytes] = field(default_factory=dict)
    """Of each id that is an example: what follows the example's header."""
    refused: set[int] = field(default_factory=set)
    """Offsets of the labels that must be in quarantine."""
    perhaps_refused: set[int] = field(default_factory=set)
    pending: dict[bytes, tuple[bool, int]] = field(default_factory=dict)
    """Of each id that must be waiting: whether its event has come, and how many labels wait for the event."""
    perhaps_pending: set[bytes] = field(default_factory=set)
    settled: set[bytes] = field(default_factory=set)
    """Ids whose fate must still be remembered."""
    overtaken: set[bytes] = field(default_factory=set)
    """Ids whose label was within the horizon by its own time, but that its stream had already passed: while one
    partition of an outside topic stands still, the others go on, and move the clock that they share."""


@dataclass
class _Event:
    time: int
    features: bytes
    prediction: bytes | None = None
    label: bytes | None = None


def recompute(
    features: Iterable[Record],
    predictions: Iterable[Record],
    labels: Iterable[Record],
    horizon: int,
    grace: int,
) -> Joined:
    """The outcome of one partition's logs; `horizon` and `grace` are in ms."""
    span, joined = horizon + grace, Joined()
    width = max(1, span // _SLOTS)
    events, events_mark = _events(features, span, joined.overtaken)
    for record in predictions:
        event = events.get(record.key)
        if event is not None and event.prediction is None:
            event.prediction = record.value or b""

    labels_mark, unclaimed = -(1 << 62), dict[bytes, list[Record]]()
    for record in labels:
        mark, labels_mark = labels_mark, max(labels_mark, record.timestamp)
        event = events.get(record.key)
        if event is None:
            unclaimed.setdefault(record.key, []).append(record)
            continue
        time, due = record.timestamp, event.time + span
        if time + grace < event.time or time > event.time + horizon or mark > due or event.label is not None:
            if mark > due and events_mark <= time + span + grace + width:
                # Its id may have been forgotten by then: so it waits like one of no event.
                joined.perhaps_refused.add(record.offset)
                joined.perhaps_pending.add(record.key)
            else:
                joined.refused.add(record.offset)
            if mark > due and event.time - grace <= time <= event.time + horizon and event.label is None:
                joined.overtaken.add(record.key)
        else:
            event.label = record.value or b""

    _orphans(joined, unclaimed, events_mark, span + grace, width)
    for key, event in events.items():
        if event.label is not None and event.prediction is not None:
            joined.bodies[key] = event.label[_HEADER:] + event.prediction[_HEADER:] + event.features[_HEADER:]
        due = event.time + span
        if event.label is None and due + width >= labels_mark:
            if due >= labels_mark:
                joined.pending[key] = (True, 0)
            else:
                joined.perhaps_pending.add(key)
        elif due >= min(events_mark, labels_mark):
            joined.settled.add(key)
    return joined


def _events(features: Iterable[Record], span: int, overtaken: set[bytes]) -> tuple[dict[bytes, _Event], int]:
    """The event of each id: the first that is not stale by its own stream; and how far that stream has come."""
    events: dict[bytes, _Event] = {}
    mark = -(1 << 62)
    for record in features:
        if record.key not in events:
            if mark <= record.timestamp + span:
                events[record.key] = _Event(record.timestamp, record.value or b"")
            else:
                overtaken.add(record.key)
        mark = max(mark, record.timestamp)
    return events, mark


def _orphans(joined: Joined, unclaimed: dict[bytes, list[Record]], mark: int, reach: int, width: int) -> None:
    """Labels of no event wait until the events have passed what they could be of."""
    for key, waiting in unclaimed.items():
        held = 0
        for record in waiting:
            due = record.timestamp + reach
            if mark > due + width:
                joined.refused.add(record.offset)
            elif mark > due:
                joined.perhaps_refused.add(record.offset)
                joined.perhaps_pending.add(key)
            else:
                held += 1
        if held and key not in joined.perhaps_pending:
            joined.pending[key] = (False, held)
