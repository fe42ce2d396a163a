"""Records fetched and not yet stepped, of one unit. Law: log order in a partition; inputs advance side by side."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from streamml.records import Batch, Record, Role, TopicPartition
from streamml.runtime.restore import Span

_TIME = attrgetter("timestamp")


class Inbox:
    """Holds what fetches brought until steps have taken it.

    A fetch is taken whole from the consumer, since aiokafka asks for more of a partition only when nothing is left of
    it: so the next fetch is under way while these records are stepped.

    `aligned`: the inputs advance side by side by the time of their records, as far as the times in a partition ascend;
    else by the share of what each holds. Were one input of a join read faster, all that it has too much would have to
    be remembered. (Kafka Streams chooses its next record so, KIP-353.)
    """

    def __init__(self, roles: Mapping[TopicPartition, Role], order: Sequence[Role], aligned: bool = False) -> None:
        self._roles = roles
        self._order = order
        self._aligned = aligned
        self._queues: dict[TopicPartition, tuple[Sequence[Record], int]] = {}
        self.size = 0

    def put(self, fetched: Mapping[Any, Sequence[Record]]) -> int:
        """Take in what a fetch brought of partitions of which nothing is left; returns the number of records."""
        brought = {tp: (records, 0) for tp, records in fetched.items() if records}
        self._queues |= brought
        count = sum(len(records) for records, _ in brought.values())
        self.size += count
        return count

    def clear(self) -> None:
        self._queues = {}
        self.size = 0

    def waiting(self, partition: TopicPartition) -> int:
        """How many records of the partition wait."""
        records, at = self._queues.get(partition, ((), 0))
        return len(records) - at

    def exhausted(self) -> Collection[TopicPartition]:
        """The partitions of which nothing is left."""
        return self._roles.keys() - self._queues.keys()

    def take(self, limit: int) -> tuple[Batch, dict[TopicPartition, Span]]:
        """At most about `limit` records (one more per partition), with the span that they were read from, by partition.

        Each partition gives in proportion to what it has to give, so that none runs far ahead of the others.
        """
        ends = self._ends()
        ready = sum(end - self._queues[tp][1] for tp, end in ends.items())
        share = 1.0 if ready <= limit else limit / ready
        parts: dict[Role, list[Sequence[Record]]] = {}
        spans: dict[TopicPartition, Span] = {}
        taken = 0
        for tp, ready_end in ends.items():
            records, at = self._queues[tp]
            end = min(ready_end, at + max(1, int((ready_end - at) * share)))
            piece = records if end - at == len(records) else records[at:end]
            parts.setdefault(self._roles[tp], []).append(piece)
            spans[tp] = Span(piece[0].offset, piece[-1].offset + 1)
            taken += end - at
            if end < len(records):
                self._queues[tp] = records, end
            else:
                del self._queues[tp]
        self.size -= taken
        batch = {role: _joined(parts[role]) for role in self._order if role in parts}
        return batch, spans

    def _ends(self) -> dict[TopicPartition, int]:
        """The partitions that have something to give, in their order, and how far each may go."""
        queues = [(tp, *self._queues[tp]) for tp in sorted(self._queues)]
        if not self._aligned or len(queues) < 2:
            return {tp: len(records) for tp, records, _ in queues}
        until = min(records[-1].timestamp for _, records, _ in queues)
        # Wherever the times go up and down, the one that ends first gives all that it has.
        ends = {
            tp: len(records) if records[-1].timestamp <= until else bisect_right(records, until, lo=at, key=_TIME)
            for tp, records, at in queues
        }
        return {tp: end for tp, end in ends.items() if end > self._queues[tp][1]}


def _joined(parts: Sequence[Sequence[Record]]) -> Sequence[Record]:
    return parts[0] if len(parts) == 1 else [record for part in parts for record in part]
