"""Cheaper records from aiokafka. Law: the same records in the same order; only their class is ours, and lean.

aiokafka makes a `ConsumerRecord` of eleven attributes for each record, behind two layers of iteration: with six hops
an event that is the largest single cost of the data plane. Here a record is a tuple, made at once.

A header's name may be any bytes, as clients in C, Go or Rust send them. aiokafka raises on one that is no UTF-8, and
would for ever, as the record stands in the log: here the batch is read again, with such bytes as escapes (`\\xff`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from streamml.records import Headers

_new = tuple.__new__
_FastRecords: Any = fetcher.MemoryRecords


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


class _Escaping(bytearray):
    """Bytes that decode in any case; a slice of them as well."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Escaping(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _EscapingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka is untyped
    """A batch read by aiokafka's slow reader, which is written in Python."""

    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Escaping(self._buffer)


class _KeptRecords(_FastRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The batches of a fetch, which keep the bytes that they are read from."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _Again:
    """The batch that holds `offset`, read with escapes, and then the `rest` as before."""

    def __init__(self, rest: Any, offset: int) -> None:
        self.data = rest.data
        self._rest = rest
        self._batch: Any = self._find(offset)

    def _find(self, offset: int) -> Any:
        slices = _MemoryRecordsPy(self.data)
        while True:
            data = slices._next_slice
            if slices.next_batch().next_offset > offset:
                return _EscapingBatch(data)

    def has_next(self) -> bool:
        return self._batch is not None or self._rest.has_next()

    def next_batch(self) -> Any:
        batch, self._batch = self._batch, None
        return self._rest.next_batch() if batch is None else batch


class LeanRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The records of one fetched partition."""

    _records: Any

    def __iter__(self) -> Iterator[Fetched]:
        records: Iterator[Fetched] = self._records_iterator
        return records

    def __next__(self) -> Fetched:
        return next(iter(self))

    def _unpack_records(self) -> Iterator[Fetched]:
        while True:
            try:
                yield from super()._unpack_records()
                return
            except UnicodeDecodeError:
                # The batch comes again, and aiokafka skips what it has had; the state of transactions is kept.
                self._records = _Again(self._records, self.next_fetch_offset)

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
    """Let every consumer of this process unpack that way. aiokafka offers no hook, so its names for the classes are
    replaced."""
    fetcher.PartitionRecords = LeanRecords
    fetcher.MemoryRecords = _KeptRecords
