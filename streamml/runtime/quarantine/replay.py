"""Re-entering refused records into the topics they came from. Law: the records and the word that they were re-entered
are committed together, by one writer at a time, who has read all such words before.

One transactional id for each application (KIP-98): whoever starts a replay fences the one before him and ends what it
left open, then reads the ledger to its end, then writes. So neither a crash nor two people at once double a record;
the one who was fenced is told so, and has lost nothing: what he had not committed, the other one finds.

A record goes back to the partition it came from, under its old timestamp: labels without a time of their own are
judged by it, and what has one key stays in one partition. That holds for `labels` too, which are match's own: that
partition is the one of their id, and their timestamp is the time at which the label became known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, ProducerFenced

from streamml.agents.quarantine import ERROR, REASON
from streamml.errors import BrokerError, StreammlError
from streamml.records import Headers, Record, TopicPartition, Write
from streamml.runtime.admin import require_topics
from streamml.runtime.clients import (
    LATE_OR_LOST,
    LOST,
    Producer,
    Tuning,
    append_all,
    end_client,
    forget_transaction,
    partition_count,
    transactional_producer,
)
from streamml.runtime.connection import Connection, unreachable
from streamml.runtime.quarantine.ledger import header_of, in_words, read_ledger
from streamml.runtime.quarantine.refused import UNREADABLE, Place, Refused, read_refused, spans_around
from streamml.runtime.tail import Decoder
from streamml.schemas import Codec
from streamml.topology import Topology

REPLAY = "streamml.replay"
"""The header that marks a re-entered record: its place in the quarantine, as `shop.quarantine[0]@17`."""

_ENDS: tuple[type[BaseException], ...] = (*LOST, BrokerError)
_SOURCES = ("events", "feedback", "labels")
_RECORDS = 500
_BYTES = 4 << 20
# Compressed, since a producer may have written compressed what is larger than its topic takes otherwise.
_TUNING = Tuning(compression="gzip")

Fault = Callable[[str], None]
"""Called with the name of each point between two steps of a transaction."""


class ReplayStopped(StreammlError):
    """A replay ended before its end; what it had committed stands, and is not re-entered again."""


@dataclass
class Outcome:
    """What became of the records that a replay was asked for."""

    replayed: list[Place] = field(default_factory=list)
    already: list[Place] = field(default_factory=list)
    impossible: dict[Place, str] = field(default_factory=dict)


def why_not(topology: Topology, refused: Refused) -> str | None:
    """Why it cannot be re-entered; None if it can. A header of others names no topic that we would write to."""
    if refused.rule == UNREADABLE:
        return refused.error
    if refused.topic not in {topology.topic(role) for role in _SOURCES}:
        return f"it came from {refused.topic}, which is none of {topology.name}'s inputs"
    return None


def headers_of(record: Record, quarantine: str) -> Headers:
    """The headers as the refused record had them, and the mark of its replay behind them."""
    headers = list(record.headers)
    for name in (ERROR, REASON):
        # The last one of each name is ours; a producer may have used the name too.
        at = max((i for i, (known, _) in enumerate(headers) if known == name), default=None)
        if at is not None:
            del headers[at]
    return [*headers, (REPLAY, f"{quarantine}[{record.partition}]@{record.offset}".encode())]


class Replay:
    """One replay of `topology`'s refused records. `control` is the codec of decisions, `by` who asks.

    `clock` gives ms since the epoch; `done` is called with each number of records that were committed.
    """

    def __init__(
        self,
        connection: Connection,
        topology: Topology,
        decoder: Decoder,
        control: Codec,
        by: str,
        clock: Callable[[], int],
        done: Callable[[int], None] = lambda count: None,
        fault: Fault = lambda point: None,
    ) -> None:
        self._connection = connection
        self._topology = topology
        self._decoder = decoder
        self._control = control
        self._by = by
        self._clock = clock
        self._done = done
        self._fault = fault
        self._quarantine, self._log = topology.topic("quarantine"), topology.topic("control")
        self._left: dict[Place, Refused] = {}
        self._alone: set[Place] = set()
        self._pile: list[tuple[Refused, Record]] = []
        self._bytes = 0
        self._open = False
        self.outcome = Outcome()

    async def run(self, chosen: Collection[Refused]) -> Outcome:
        """Re-enter those of `chosen` that can be and were not; a refused record is gone if it was deleted meanwhile.

        Raises ReplayStopped: another replay took over, or the broker was lost. `outcome` says how far it came.
        """
        for refused in chosen:
            if (why := why_not(self._topology, refused)) is not None:
                self.outcome.impossible[refused.place] = why
            else:
                self._left[refused.place] = refused
        try:
            while self._left:
                await self._try()
        except _ENDS as error:
            raise self._stopped(error) from error
        return self.outcome

    async def _try(self) -> None:
        """Fence, read the ledger, re-enter. A record that its topic does not take ends the try, not the replay."""
        self._pile, self._bytes = [], 0
        producer = transactional_producer(self._connection, f"{self._topology.name}-quarantine-replay", _TUNING)
        try:
            await producer.start()
            self._fault("fenced")
            await self._set_aside(producer)
            await self._all(producer)
        except MessageSizeTooLargeError:
            failed = [refused.place for refused, _ in self._pile]
            if len(failed) > 1:
                self._alone.update(failed)
                return
            topic = self._left[failed[0]].topic
            why = f"with the mark of its replay it is larger than {topic} takes: raise its max.message.bytes"
            self._give_up(failed, why)
        finally:
            await self._end(producer)

    async def _set_aside(self, producer: Producer) -> None:
        """Leave out what was re-entered before, and what lost its partition."""
        ledger = await read_ledger(self._connection, self._log, whole=True)
        before = [place for place, refused in self._left.items() if ledger.of(refused) is not None]
        self.outcome.already += before
        for place in before:
            del self._left[place]
        topics = {refused.topic for refused in self._left.values()}
        await require_topics(self._connection, topics)
        counts = {topic: await partition_count(producer, topic) for topic in sorted(topics)}
        lost = [place for place, r in self._left.items() if not 0 <= r.partition < counts[r.topic]]
        self._give_up(lost, "the partition it came from is no longer there")

    async def _all(self, producer: Producer) -> None:
        async def take(refused: Refused, record: Record) -> None:
            expected = self._left.get(refused.place)
            if expected is None or expected.identity != refused.identity:
                return
            size = (refused.size or 0) + len(refused.key or b"")
            alone = refused.place in self._alone
            if self._pile and (alone or len(self._pile) >= _RECORDS or self._bytes + size > _BYTES):
                await self._commit(producer)
            self._pile.append((refused, record))
            self._bytes += size
            if alone:
                await self._commit(producer)

        if self._left:
            wanted = spans_around(list(self._left))
            await read_refused(self._connection, self._quarantine, self._decoder, take, wanted)
            if self._pile:
                await self._commit(producer)
            self._give_up(list(self._left), "it is no longer in the quarantine")

    async def _commit(self, producer: Producer) -> None:
        """One transaction: every batch is awaited before the commit, which would succeed without a failed one."""
        await producer.begin_transaction()
        self._open = True
        self._fault("begun")
        sending: list[asyncio.Future[Any]] = []
        try:
            for tp, writes in self._writes().items():
                taken = 0
                while taken < len(writes):
                    batch = producer.create_batch()
                    taken = append_all(batch, writes, taken)
                    sending.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
        finally:
            results = await asyncio.gather(*sending, return_exceptions=True)
        # What is too large is said first: the others may only have been given up with it.
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in sorted(failures, key=lambda error: not isinstance(error, MessageSizeTooLargeError)):
            raise failure
        self._fault("sent")
        await producer.commit_transaction()
        self._open = False
        self._fault("committed")
        places = [refused.place for refused, _ in self._pile]
        for place in places:
            del self._left[place]
        self.outcome.replayed += places
        self._pile, self._bytes = [], 0
        self._done(len(places))

    def _writes(self) -> Mapping[TopicPartition, Sequence[Write]]:
        writes: dict[TopicPartition, list[Write]] = {}
        for refused, record in self._pile:
            write = (record.key, record.value, record.timestamp, headers_of(record, self._quarantine))
            writes.setdefault(TopicPartition(refused.topic, refused.partition), []).append(write)
        refusals, now = [refused for refused, _ in self._pile], self._clock()
        topics = ", ".join(sorted({refused.topic for refused in refusals}))
        places = in_words([refused.place for refused in refusals])
        decision = {
            "kind": "decision",
            "action": "replay",
            "model": None,
            "position": None,
            "accepted": True,
            "reason": f"re-entered {len(refusals)} of {self._quarantine} into {topics}: {places}",
            "author": self._by,
            "command": None,
            "at": now,
        }
        header = header_of(refusals, now, self._by)
        writes[TopicPartition(self._log, 0)] = [(None, self._control.encode(decision), now, [header])]
        return writes

    def _give_up(self, places: Sequence[Place], why: str) -> None:
        for place in places:
            del self._left[place]
            self.outcome.impossible[place] = why

    async def _end(self, producer: Producer) -> None:
        """Abort what is open, as far as that is still possible, and close; else the next replay's start aborts it."""
        if self._open:
            with suppress(*LATE_OR_LOST):
                await asyncio.wait_for(producer.abort_transaction(), 2.0)
        self._open = False
        forget_transaction(producer)
        await end_client(producer)

    def _stopped(self, error: BaseException) -> StreammlError:
        if isinstance(error, StreammlError):
            reason = str(error)
        elif isinstance(error, KafkaConnectionError):
            reason = str(unreachable(self._connection, error))
        elif isinstance(error, ProducerFenced | AssertionError):
            reason = f"another replay of {self._topology.name} has taken over"
        else:
            reason = f"the broker at {self._connection.bootstrap} ended it ({type(error).__name__}: {error})"
        done = len(self.outcome.replayed)
        return ReplayStopped(
            f"{reason}; {done} record{'s' * (done != 1)} re-entered, {len(self._left)} left: run it again to see what "
            "is left, nothing is re-entered twice"
        )
