"""The first stage of both outside topics. Law: every record becomes a valid one or one in quarantine; no bytes
raise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from streamml.agents.quarantine import Quarantine
from streamml.errors import DeclarationError, DecodeError
from streamml.records import BareRecord, Record, TopicPartition, Write, placed
from streamml.rules import (
    check_events,
    compile_rules,
    id_of,
    label_check,
    max_ahead_of,
    max_size_of,
    time_of,
    with_event_time,
)
from streamml.rules.identity import MAX_TIME
from streamml.schemas import Codec, EventReader
from streamml.topology import Topology

Valid = tuple[str, int, dict[str, Any], BareRecord]
"""(id, event time in ms, canonical event, the record it came in)."""

_SURELY_SHORT = 64
"""Characters; in UTF-8 they take 256 bytes at most."""


class Validate:
    """Decodes and judges records of one `partition` of both topics, one by one. It keeps no state but the counters of
    `quarantine`.

    Raises:
        DeclarationError: the topology's events, feedback or rules name what the schemas do not hold.
    """

    def __init__(
        self,
        topology: Topology,
        events: EventReader,
        feedback: EventReader,
        quarantine: Quarantine,
        labels: Codec,
        partition: int,
    ) -> None:
        if problems := check_events(topology):
            raise DeclarationError(problems[0])
        self._events = events
        self._feedback = feedback
        self._quarantine = quarantine
        self._labels = labels
        self._events_at = TopicPartition(topology.topic("events"), partition)
        self._feedback_at = TopicPartition(topology.topic("feedback"), partition)
        self._event_fields = topology.events.id, topology.events.time
        rules = with_event_time(topology.rules)
        self._check = compile_rules(rules)
        self._ahead = max_ahead_of(rules)
        self._max_size = max_size_of(topology.rules)
        self._label_fields = topology.feedback.id, topology.feedback.label, topology.feedback.time
        self._label = label_check(topology.target, topology.feedback.label)

    @property
    def counts(self) -> dict[str, int]:
        """How many records were refused, by rule."""
        return self._quarantine.counts

    def events(self, records: Iterable[BareRecord], now: int, refused: list[Write]) -> Iterator[Valid]:
        """The valid events in the order of their records, one after the other: each is gone before the next one is
        read. The writes to the quarantine are appended to `refused`. `now` is in ms."""
        read, check, max_size = self._events.read, self._check, self._max_size
        id_field, time_field = self._event_fields
        for record in records:
            try:
                value = record.value
                if value is not None and len(value) > max_size:
                    raise self._oversized(value)
                event = read(value)
                id, time = event[id_field], event[time_field]
                if type(id) is not str or not 0 < len(id) <= _SURELY_SHORT:
                    id = id_of(id, id_field)
                if type(time) is not int or not 0 <= time <= MAX_TIME:
                    time = time_of(time, time_field, "event_time")
                check(event, time, now)
            except DecodeError as error:
                refused.append(self._refuse(placed(record, self._events_at), error, now))
                continue
            yield id, time, event, record

    def labels(self, records: Sequence[BareRecord], now: int) -> tuple[list[Write], list[Write]]:
        """The valid labels as writes to `labels` (keyed by id, the label's time as timestamp), and those to the
        quarantine."""
        read, check, max_size, encode = self._feedback.read, self._label, self._max_size, self._labels.encode
        id_field, label_field, time_field = self._label_fields
        latest = min(MAX_TIME, now + self._ahead)
        writes: list[Write] = []
        refused: list[Write] = []
        for record in records:
            try:
                value = record.value
                if value is not None and len(value) > max_size:
                    raise self._oversized(value)
                feedback = read(value)
                id = feedback[id_field]
                if type(id) is not str or not 0 < len(id) <= _SURELY_SHORT:
                    id = id_of(id, id_field)
                label = check(feedback[label_field])
                time = record.timestamp if time_field is None else feedback[time_field]
                if type(time) is not int or not 0 <= time <= latest:
                    time = time_of(time, time_field or "(the record's timestamp)", "label_time", latest)
            except DecodeError as error:
                refused.append(self._refuse(placed(record, self._feedback_at), error, now))
                continue
            writes.append((id.encode(), encode({"value": label, "time": time, "id": id}), time, ()))
        return writes, refused

    def _refuse(self, record: Record, error: DecodeError, now: int) -> Write:
        return self._quarantine.refuse(record, error.rule, str(error), now, error.field)

    def _oversized(self, value: bytes) -> DecodeError:
        return DecodeError("max_size", f"the value has {len(value)} bytes; expected at most {self._max_size}")
