"""Topics as any outside reader sees them. Law: what is returned is committed, and in the log's order in a partition.

A reader of its own, not the data plane's: so that what the plane did can be checked from what others read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from streamml.errors import BrokerError
from streamml.records import LogRecord
from streamml.runtime.clients import Consumer, end_client, log_reader
from streamml.runtime.connection import Connection, unreachable

_BATCH = 5_000


async def read_topic(connection: Connection, topic: str) -> list[LogRecord]:
    """Every committed record that `topic` holds now, by partition and offset. Raises `BrokerError`."""
    return (await read_topics(connection, [topic]))[topic]


async def read_topics(connection: Connection, topics: Iterable[str]) -> dict[str, list[LogRecord]]:
    """The same of several topics, through one consumer. Raises `BrokerError`."""
    found: dict[str, list[LogRecord]] = {topic: [] for topic in topics}
    async with _reader(connection, "streamml-reader", list(found)) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        open_ = {tp for tp in partitions if await consumer.position(tp) < ends[tp]}
        while open_:
            for tp, records in (await consumer.getmany(*open_, timeout_ms=200, max_records=_BATCH)).items():
                found[tp.topic] += [_record(record) for record in records if record.offset < ends[tp]]
            # Not by counts: transaction markers take offsets, and are never returned.
            open_ = {tp for tp in open_ if await consumer.position(tp) < ends[tp]}
    for records in found.values():
        records.sort(key=lambda record: (record.partition, record.offset))
    return found


async def tail_topics(connection: Connection, topics: Sequence[str]) -> AsyncIterator[list[LogRecord]]:
    """Every committed record of `topics` from their beginnings on, in batches as they come.

    A batch may be empty: one comes at least each 100 ms. Endless: stop iterating, or cancel. Raises `BrokerError`.
    """
    async with _reader(connection, "streamml-tail", topics) as (consumer, partitions):
        while True:
            batch = await consumer.getmany(*partitions, timeout_ms=100, max_records=_BATCH)
            yield [_record(record) for records in batch.values() for record in records]


@asynccontextmanager
async def _reader(
    connection: Connection, client_id: str, topics: Sequence[str]
) -> AsyncIterator[tuple[Consumer, list[Any]]]:
    """A consumer that stands at the beginning of every partition of `topics`."""
    consumer = log_reader(connection, client_id)
    try:
        partitions = await _partitions(connection, topics)
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer, partitions
    except KafkaError as error:
        raise unreachable(connection, f"{type(error).__name__}: {error}") from error
    finally:
        await end_client(consumer)


async def _partitions(connection: Connection, topics: Sequence[str]) -> list[Any]:
    admin = AIOKafkaAdminClient(**connection.client(), client_id="streamml-reader")
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    for topic in described:
        if topic["error_code"]:
            raise BrokerError(
                f"topic {topic['topic']} cannot be read at {connection.bootstrap} "
                f"({for_code(topic['error_code']).__name__}): create it with `streamml apply`"
            )
    return [TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"]]


def _record(record: Any) -> LogRecord:
    return LogRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )
