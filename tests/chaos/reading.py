"""All that a topic holds, for the checker. Law: read as any read_committed consumer reads, record by record, never all
at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition
from support.kafka import stream


class Row(NamedTuple):
    """One record of a log. `timestamp` is in ms."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: Mapping[str, bytes]


class Log:
    """The committed records of one topic, read anew for each iteration; `last` has the offset of each partition's last
    record, after one of them."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self.topic = topic
        self.last: dict[int, int] = {}

    def __iter__(self) -> Iterator[Row]:
        return self.of(None)

    def of(self, partition: int | None) -> Iterator[Row]:
        """The records of one partition, or of all, each partition in order."""
        for message in stream(self._bootstrap, self.topic, partition):
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            self.last[number] = offset
            headers: Any = message.headers() or ()
            yield Row(number, offset, message.timestamp()[1], message.key() or b"", message.value(), dict(headers))


def committed(bootstrap: str, group: str, topics: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The committed offset of each (topic, partition); those without one are not in it."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    try:
        asked = [TopicPartition(topic, number) for topic, number in topics]
        return {(tp.topic, tp.partition): tp.offset for tp in reader.committed(asked, timeout=30) if tp.offset >= 0}
    finally:
        reader.close()


def ends(bootstrap: str, topics: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The end of each (topic, partition)."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "a-reader-that-joins-no-group"})
    try:
        return {
            (topic, number): reader.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
            for topic, number in topics
        }
    finally:
        reader.close()


def last_offset(bootstrap: str, topic: str, partition: int) -> int:
    """The offset of the partition's last committed record; -1 if there is none. Markers behind it are no records."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "a-reader-that-joins-no-group",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        begin, end = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        reach = 50
        while True:
            start = max(begin, end - reach)
            reader.assign([TopicPartition(topic, partition, start)])
            last = -1
            while (message := reader.poll(10.0)) is not None and message.error() is None:
                last = max(last, message.offset() or 0)
            if last >= 0 or start <= begin:
                return last
            reach *= 20
    finally:
        reader.close()
