"""Kafka as an outsider sees it, through confluent-kafka. Law: what is read here any read_committed consumer reads.

Offsets are no counts: transaction markers and aborted records take offsets too. So reading ends at a position, never at
a number of records.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

Partitioner = Literal["consistent_random", "consistent", "random", "murmur2", "murmur2_random", "fnv1a_random"]

Outgoing = tuple[bytes | None, bytes | None] | tuple[bytes | None, bytes | None, int]
"""(key, value) or (key, value, timestamp in ms)."""

_BATCH = 10_000
_NOT_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # The same, as the client itself says it.
    KafkaError.OFFSET_NOT_AVAILABLE,  # KIP-207: who leads now does not know yet up to where all replicas are.
)


def create_topics(bootstrap: str, topics: Mapping[str, int | tuple[int, Mapping[str, str]]]) -> None:
    """Create topics, given as name -> number of partitions or (that, settings), and wait until they can be used."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = []
    for name, shape in topics.items():
        count, config = (shape, {}) if isinstance(shape, int) else shape
        wanted.append(NewTopic(name, count, replication_factor=1, config=dict(config)))
    for future in admin.create_topics(wanted, operation_timeout=30).values():
        future.result(30)
    with _reader(bootstrap) as reader:
        for topic in wanted:
            for number in range(topic.num_partitions):
                _end(reader, TopicPartition(topic.topic, number))


def produce(
    bootstrap: str,
    topic: str,
    records: Iterable[Outgoing],
    *,
    partitioner: Partitioner = "consistent_random",
    partition: int | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> list[tuple[int, int]]:
    """Produce records as a team outside would, and return (partition, offset) of each once all are acknowledged.

    The default partitioner is librdkafka's (CRC32 of the key); Java's is `murmur2_random`. `partition` overrides both.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": partitioner,
            "linger.ms": 5,
            "acks": "all",
            "message.max.bytes": 16 << 20,
        }
    )
    placed: list[tuple[int, int]] = []
    where: dict[str, Any] = {} if partition is None else {"partition": partition}
    for record in records:
        key, value, timestamp = (*record, 0)[:3]
        slot = len(placed)
        placed.append((-1, -1))

        def delivered(error: KafkaError | None, message: Message, slot: int = slot) -> None:
            if error is None:
                placed[slot] = (message.partition() or 0, message.offset() or 0)

        send = {"key": key, "value": value, "timestamp": timestamp, "headers": list(headers), **where}
        while True:
            try:
                producer.produce(topic, on_delivery=delivered, **send)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(60)
    refused = placed.count((-1, -1))
    assert not left, f"{left} of {len(placed)} records to {topic} were not acknowledged within 60 s"
    assert not refused, f"{refused} of {len(placed)} records to {topic} were refused by the broker"
    return placed


def read_all(
    bootstrap: str,
    topic: str,
    *,
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
    timeout: float = 60.0,
) -> list[Message]:
    """Every message of a topic up to its end as of now, by partition and offset.

    In read_committed the end is the last stable offset: messages behind an open transaction are not waited for.
    """
    found = list(stream(bootstrap, topic, isolation=isolation, timeout=timeout))
    return sorted(found, key=lambda message: (message.partition() or 0, message.offset() or 0))


def stream(
    bootstrap: str,
    topic: str,
    partition: int | None = None,
    *,
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
    timeout: float = 60.0,
) -> Iterator[Message]:
    """The same one by one, of one partition or of all: each partition in order, one beside the other.

    `timeout` bounds how long nothing may come.
    """
    with _reader(bootstrap, isolation) as reader:
        known = reader.list_topics(topic, timeout=30).topics[topic]
        if known.error is not None:
            raise KafkaException(known.error)
        numbers = known.partitions if partition is None else [partition]
        parts = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers]
        ends = {part.partition: _end(reader, part) for part in parts}
        open_ = {number for number, end in ends.items() if end > 0}
        reader.assign([part for part in parts if part.partition in open_])
        until = time.monotonic() + timeout
        while open_:
            assert time.monotonic() < until, (
                f"{topic}: partitions {sorted(open_)} not read to {ends} within {timeout} s"
            )
            # consume(n, timeout) would wait its timeout out for the n-th message: wait for one, take what is there.
            first = reader.poll(0.5)
            for message in [first, *reader.consume(_BATCH, 0)] if first is not None else []:
                number, offset = message.partition(), message.offset()
                assert number is not None
                assert offset is not None
                error = message.error()
                if error is None:
                    if offset < ends[number]:
                        yield message
                    position = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    position = offset  # behind any markers, which are never delivered
                else:
                    raise KafkaException(error)
                if position >= ends[number]:
                    open_.discard(number)
            if first is not None:
                until = time.monotonic() + timeout


@contextmanager
def _reader(bootstrap: str, isolation: str = "read_committed") -> Iterator[Consumer]:
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "a-reader-that-joins-no-group",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        yield reader
    finally:
        reader.close()


def _end(reader: Consumer, part: TopicPartition, patience: float = 30.0) -> int:
    """The end offset of a partition, waited for while the broker knows the topic but not who leads it, or how far."""
    until = time.monotonic() + patience
    while True:
        try:
            _, end = reader.get_watermark_offsets(part, timeout=patience)
            return int(end)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or time.monotonic() > until:
                raise
            time.sleep(0.02)
