"""Records fetched and not yet stepped, of one unit. Law: log order in a partition; inputs advance side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamml.records import Batch, Record, Role, TopicPartition


class Inbox:
    """Holds what a fetch brought until steps have taken it.

    A fetch is taken whole from the consumer, since aiokafka asks for more of a partition only when nothing is left of
    it: so the next fetch is under way while these records are stepped.
    """

    def __init__(self, roles: Mapping[TopicPartition, Role], order: Sequence[Role]) -> None:
        self._roles = roles
        self._order = order
        self._queues: dict[TopicPartition, tuple[Sequence[Record], int]] = {}
        self.size = 0

    def put(self, fetched: Mapping[Any, Sequence[Record]]) -> int:
        """Take in what a fetch brought, when nothing is left of the one before; returns the number of records."""
        self._queues = {tp: (records, 0) for tp, records in fetched.items() if records}
        self.size = sum(len(records) for records, _ in self._queues.values())
        return self.size

    def clear(self) -> None:
        self._queues = {}
        self.size = 0

    def waiting(self, partition: TopicPartition) -> int:
        """How many records of the partition wait."""
        records, at = self._queues.get(partition, ((), 0))
        return len(records) - at

    def take(self, limit: int) -> tuple[Batch, dict[TopicPartition, int]]:
        """At most about `limit` records (one more per partition), with the offset that follows the last, by partition.

        Each partition gives in proportion to what it holds, so that no input of a join runs far ahead of the others.
        """
        share = 1.0 if self.size <= limit else limit / self.size
        parts: dict[Role, list[Sequence[Record]]] = {}
        offsets: dict[TopicPartition, int] = {}
        left: dict[TopicPartition, tuple[Sequence[Record], int]] = {}
        taken = 0
        for tp in sorted(self._queues):
            records, at = self._queues[tp]
            end = min(len(records), at + max(1, int((len(records) - at) * share)))
            piece = records if end - at == len(records) else records[at:end]
            parts.setdefault(self._roles[tp], []).append(piece)
            offsets[tp] = piece[-1].offset + 1
            taken += end - at
            if end < len(records):
                left[tp] = (records, end)
        self._queues = left
        self.size -= taken
        batch = {role: _joined(parts[role]) for role in self._order if role in parts}
        return batch, offsets


def _joined(parts: Sequence[Sequence[Record]]) -> Sequence[Record]:
    return parts[0] if len(parts) == 1 else [record for part in parts for record in part]
