"""Cheaper records from aiokafka. Law: the same records in the same order; only their class is ours, and lean.

aiokafka makes a `ConsumerRecord` of eleven attributes for each record, behind two layers of iteration: with six hops
an event that
is the largest single cost of the data plane. Here a record is a tuple, made at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher

from streamml.records import Headers

_new = tuple.__new__


class Fetched(NamedTuple):
    """A `Record` that also answers to what else aiokafka's users may ask of one (Faust does)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_type: int

    @property
    def checksum(self) -> None:
        """Of no use since Kafka 0.11."""
        return

    @property
    def serialized_key_size(self) -> int:
        """Bytes; -1 without a key."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Bytes; -1 without a value."""
        return -1 if self.value is None else len(self.value)


class LeanRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The records of one fetched partition."""

    def __iter__(self) -> Iterator[Fetched]:
        records: Iterator[Fetched] = self._records_iterator
        return records

    def __next__(self) -> Fetched:
        return next(iter(self))

    def _consumer_record(self, tp: Any, record: Any) -> Fetched:
        fetched: Fetched = _new(
            Fetched,
            (
                tp.topic,
                tp.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                record.headers,
                record.timestamp_type,
            ),
        )
        return fetched


def install() -> None:
    """Let every consumer of this process unpack that way. aiokafka offers no hook, so its name for the class is
    replaced."""
    fetcher.PartitionRecords = LeanRecords
