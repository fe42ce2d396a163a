"""What a session writes: one transactional producer. Law: writes and offsets are committed together or not at all.

The order inside a transaction is fixed by what aiokafka does not check: `commit_transaction` succeeds although a batch
has failed, so every batch is awaited before the offsets are sent (KIP-98).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from streamml.errors import BrokerError, StreammlError
from streamml.partitioning import partitions_of
from streamml.records import Role, TopicPartition, Write, Writes
from streamml.runtime.clients import (
    LATE_OR_LOST,
    LOST,
    Producer,
    Tuning,
    append_all,
    end_client,
    forget_transaction,
    partition_count,
    refused_with,
    transactional_producer,
)
from streamml.runtime.connection import Connection

Fault = Callable[[str], None]
"""Called between every two steps of a transaction, with the point's name: tests kill or raise there."""


class Outbox:
    """The producer of one unit, and where its writes go.

    A role's partition follows from the key; the changelog's is the session's own.
    """

    def __init__(
        self,
        connection: Connection,
        transactional_id: str,
        group: str,
        topics: Mapping[Role, str],
        changelog: tuple[Role, int] | None,
        unit: int,
        tuning: Tuning,
        fault: Fault,
    ) -> None:
        self._connection = connection
        self._id = transactional_id
        self._group = group
        self._topics = topics
        self._changelog = changelog
        self._unit = unit
        self._tuning = tuning
        self._fault = fault
        self._partitions: dict[Role, int] = {}
        self._producer: Producer | None = None
        self._open = False
        self._sent = 0
        self.last_change: int | None = None
        """The offset of the last record that the last transaction wrote to the changelog, if it wrote any there."""

    @property
    def worn(self) -> bool:
        """Whether the producer must be replaced: aiokafka's sequence numbers break at 2**31 records."""
        return self._sent > self._tuning.rotate_records

    async def start(self) -> None:
        """InitProducerId: fences the unit's former owner and ends what it left open. Only then are offsets final."""
        self._producer = transactional_producer(self._connection, self._id, self._tuning)
        await self._producer.start()
        for role, topic in self._topics.items():
            self._partitions[role] = await partition_count(self._producer, topic)
        if self._changelog is not None:
            role, own = self._changelog
            if own >= self._partitions[role]:
                raise BrokerError(
                    f"topic {self._topics[role]} has {self._partitions[role]} partitions but unit {own} of "
                    f"{self._group} needs its own: create it with as many partitions as the inputs have"
                )

    async def stop(self) -> None:
        """Abort what is open, as far as that is still possible, and close the producer."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if self._open:
            with suppress(*LATE_OR_LOST):  # Else the next owner's InitProducerId aborts it.
                await asyncio.wait_for(producer.abort_transaction(), 2.0)
        forget_transaction(producer)
        await end_client(producer)

    async def commit(self, writes: Sequence[Writes], offsets: Mapping[TopicPartition, int]) -> int:
        """One transaction; returns the number of records written. Whatever it raises, the producer is spent."""
        try:
            return await self._transact(writes, offsets)
        except LOST as error:
            refused = refused_with(self._producer)
            if refused is None:
                raise
            raise refused from error

    async def _transact(self, writes: Sequence[Writes], offsets: Mapping[TopicPartition, int]) -> int:
        producer = self._producer
        assert producer is not None
        await producer.begin_transaction()
        self._open = True
        self._fault("begun")
        sending: list[asyncio.Future[Any]] = []
        count = 0
        last: tuple[int, int] | None = None
        try:
            for role, records in _merged(writes).items():
                count += len(records)
                ends = await self._send(producer, role, records, sending)
                if self._changelog is not None and role == self._changelog[0]:
                    last = ends
        finally:
            # Also after an error: a failed batch that nobody looks at is reported by the event loop as a leak.
            results: list[Any] = await asyncio.gather(*sending, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._fault("sent")
        if offsets:
            await producer.send_offsets_to_transaction(offsets, self._group)
        self._fault("offsets")
        await producer.commit_transaction()
        self._open = False
        self._sent += count
        self.last_change = None if last is None else results[last[0]].offset + last[1] - 1
        self._fault("committed")
        return count

    async def _send(
        self, producer: Producer, role: Role, records: Sequence[Write], sending: list[asyncio.Future[Any]]
    ) -> tuple[int, int] | None:
        """Returns which of `sending` is the last batch, and how many records it has; None if there are no records."""
        last = None
        if role not in self._topics:
            raise StreammlError(f"{self._id} writes to role {role!r} that its task does not declare: add it to outputs")
        topic = self._topics[role]
        for partition, group in self._by_partition(role, records).items():
            taken = 0
            while taken < len(group):
                # A full batch does not take the record; the first record of a batch always fits.
                batch, start = producer.create_batch(), taken
                taken = append_all(batch, group, taken)
                last = len(sending), taken - start
                sending.append(await producer.send_batch(batch, topic, partition=partition))
        return last

    def _by_partition(self, role: Role, records: Sequence[Write]) -> Mapping[int, Sequence[Write]]:
        if not records:
            return {}
        if self._changelog is not None and role == self._changelog[0]:
            return {self._changelog[1]: records}
        count = self._partitions[role]
        if count == 1:
            return {0: records}
        own = self._unit % count
        groups: dict[int, list[Write]] = {}
        keys = [write[0] or b"" for write in records]
        for partition, write in zip(partitions_of(keys, count), records, strict=True):
            groups.setdefault(partition if write[0] is not None else own, []).append(write)
        return groups


def _merged(writes: Sequence[Writes]) -> Writes:
    """One list by role: a second batch to a partition would wait until the first has been sent."""
    written = [each for each in writes if each]
    if len(written) == 1:
        return written[0]
    merged: Writes = {}
    for each in written:
        for role, records in each.items():
            merged.setdefault(role, []).extend(records)
    return merged
