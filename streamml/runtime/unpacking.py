"""Cheaper records from aiokafka. Law: the same records in the same order; only their class is ours, and lean.

aiokafka makes a `ConsumerRecord` of eleven attributes for each record, behind two layers of iteration: with six hops
an event that is the largest single cost of the data plane. Here a record is a tuple, made at once; and to whoever asks
for it by `BARE` it is handed out as aiokafka's reader, which is written in C, has made it: that costs a quarter.

A header's name may be any bytes, as clients in C, Go or Rust send them. aiokafka raises on one that is no UTF-8, and
would for ever, as the record stands in the log: here the batch is read again, with such bytes as escapes (`\\xff`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from streamml.records import BareRecord, Headers

BARE: Final = 1 << 62
"""As `max_records` of `getmany`: all that has been fetched, each a `BareRecord`."""

R = TypeVar("R", bound=BareRecord)

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


class LeanRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The records of one fetched partition, in whole batches."""

    _records: Any
    _tp: Any
    _begun = False

    def __next__(self) -> Fetched:
        self._begun = True
        record: Fetched = super().__next__()
        return record

    def __iter__(self) -> Iterator[Fetched]:
        return self

    def rest(self, bare: bool) -> list[Any]:
        """All that has not been taken yet; see `BARE`. Of a partition that was begun with a limit they are not bare."""
        if self._begun:
            return list(self)
        self._records_iterator = None  # It holds us, and the bytes of the fetch with us.
        made: Callable[[Any], list[Any]] = list if bare else self._placed
        found: list[Any] = []
        for batch in self._batches():
            found += self._read(batch, made)
            self.next_fetch_offset = batch.next_offset
        return found

    def _unpack_records(self) -> Iterator[Fetched]:
        for batch in self._batches():
            for record in self._read(batch, self._placed):
                self.next_fetch_offset = record.offset + 1
                yield record
            # It may lie behind the last record: compaction can have taken that.
            self.next_fetch_offset = batch.next_offset

    def _batches(self) -> Iterator[Any]:
        """The batches of records: none of an aborted transaction, no control batch."""
        records, committed = self._records, self._isolation_level == fetcher.READ_COMMITTED
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            shown = not batch.is_control_batch
            if committed and (producer := batch.producer_id) is not None:
                self._consume_aborted_up_to(batch.base_offset)
                if not shown and self._contains_abort_marker(batch):
                    self._aborted_producers.discard(producer)
                shown = shown and not (batch.is_transactional and producer in self._aborted_producers)
            if shown:
                yield batch
            else:
                self.next_fetch_offset = batch.next_offset

    def _read(self, batch: Any, made: Callable[[Any], list[R]]) -> list[R]:
        """The records of a batch from `next_fetch_offset` on: the broker sends a batch whole."""
        try:
            found = made(batch)
        except UnicodeDecodeError:
            found = made(_escaping(self._records.data, batch))
        if found and found[0].offset < (start := self.next_fetch_offset):
            found = [record for record in found if record.offset >= start]
        return found

    def _placed(self, batch: Any) -> list[Fetched]:
        topic, partition = self._tp
        return [
            _new(Fetched, (topic, partition, r.offset, r.timestamp, r.key, r.value, r.headers, r.timestamp_type))
            for r in batch
        ]


def _escaping(data: bytes, batch: Any) -> Any:
    """The same batch, out of all the bytes of its fetch, to be read with escapes."""
    slices = _MemoryRecordsPy(data)
    while True:
        own = slices._next_slice
        if slices.next_batch().next_offset == batch.next_offset:
            return _EscapingBatch(own)


class _LeanResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka is untyped
    """What waits of a fetch; without a limit, or with `BARE` for one, it is handed out at once."""

    _partition_records: LeanRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        # What is left of the limit BARE after other partitions is less by a fetch or two.
        bare = max_records is not None and max_records > BARE >> 1
        if max_records is not None and not bare:
            limited: list[Fetched] = super().getall(max_records)
            return limited
        if self._partition_records is None or not self.check_assignment(self._topic_partition):
            return []
        # Gone before it is read: after an error the same offsets are fetched again.
        records, self._partition_records = self._partition_records, None
        found = records.rest(bare)
        self._assignment.state_value(self._topic_partition).consumed_to(records.next_fetch_offset)
        return found


def install() -> None:
    """Let every consumer of this process unpack that way. aiokafka offers no hook, so its names for the classes are
    replaced."""
    fetcher.PartitionRecords = LeanRecords
    fetcher.FetchResult = _LeanResult
    fetcher.MemoryRecords = _KeptRecords
