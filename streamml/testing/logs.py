"""Kafka's logs, in memory. Law: a partition is a list; an offset is an index; nothing is ever taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamml.partitioning import partitions_of
from streamml.records import Headers, LogRecord, TopicPartition, Write


class MemoryLogs:
    """A set of topics, each with a fixed number of partitions."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._logs: dict[str, list[list[LogRecord]]] = {
            topic: [[] for _ in range(count)] for topic, count in partitions.items()
        }

    def partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, p) for p in range(len(self._logs[topic]))]

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers = (),
    ) -> LogRecord:
        log = self._logs[topic][partition]
        record = LogRecord(topic, partition, len(log), timestamp, key, value, tuple(headers))
        log.append(record)
        return record

    def extend(self, topic: str, writes: Sequence[Write], partition: int | None = None) -> None:
        """Append writes: to `partition`, or each by its key as Kafka's default partitioner would."""
        count = len(self._logs[topic])
        if partition is None:
            homes = partitions_of([key or b"" for key, *_ in writes], count)
        else:
            homes = [partition] * len(writes)
        for home, (key, value, timestamp, headers) in zip(homes, writes, strict=True):
            self.append(topic, home, key, value, timestamp, headers)

    def read(self, partition: TopicPartition, offset: int, most: int | None = None) -> list[LogRecord]:
        """Up to `most` records from `offset` on."""
        log = self._logs[partition.topic][partition.partition]
        return log[offset:] if most is None else log[offset : offset + most]

    def end(self, partition: TopicPartition) -> int:
        return len(self._logs[partition.topic][partition.partition])

    def all(self, topic: str) -> list[LogRecord]:
        """Every record of a topic, partition by partition."""
        return [record for log in self._logs[topic] for record in log]
