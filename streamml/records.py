"""What flows: records read from a log, and writes to be committed. Law: plain values; the hot path allocates no more
than these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

Headers: TypeAlias = Sequence[tuple[str, bytes]]


class BareRecord(Protocol):
    """A record as read from a partition that its reader knows: it carries nothing that is the same for all of them.

    `timestamp` is in milliseconds since the epoch; `offset` counts from 0 in its partition, with gaps on Kafka.
    """

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Record(BareRecord, Protocol):
    """One that says itself where it stands; `aiokafka.ConsumerRecord` is one, and so is `LogRecord`."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


class LogRecord(NamedTuple):
    """A `Record` made by us: what the in-memory log stores."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class TopicPartition(NamedTuple):
    """One partition of one topic; equal to and hashed like aiokafka's own."""

    topic: str
    partition: int


def placed(record: BareRecord, at: TopicPartition) -> LogRecord:
    """The record with the partition that it was read from."""
    return LogRecord(*at, record.offset, record.timestamp, record.key, record.value, record.headers)


Write: TypeAlias = tuple[bytes | None, bytes | None, int, Headers]
"""(key, value, timestamp in ms, headers), to be committed. The partition follows from the key, see `partition_of`."""

Role: TypeAlias = str
"""A topic by what it carries (`events`, `features`, …); the topic's name is `<app>.<role>`."""

Batch: TypeAlias = Mapping[Role, Sequence[BareRecord]]
"""Records by role, each sequence in log order. An absent role has no records in this batch."""

Writes: TypeAlias = dict[Role, list[Write]]
"""Writes by role, each list in the order in which it must stand in its log."""
