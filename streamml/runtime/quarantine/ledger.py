"""Which refused records were re-entered, when and by whom. Law: what is read whole misses no replay that was committed.

The ledger is the audit log: each transaction of a replay writes one decision to `<app>.control` beside the records
that it re-enters. The header of that decision holds the places; its text is for people. `govern` passes decisions by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer

from streamml.errors import BrokerError, StreammlError
from streamml.records import Record, TopicPartition
from streamml.runtime.admin import require_topics
from streamml.runtime.clients import end_client, log_reader, theirs
from streamml.runtime.connection import Connection
from streamml.runtime.quarantine.refused import Place, Refused, told
from streamml.runtime.restore import Progress, Span, bounds, read_spans

REPLAYED = "streamml.replayed"
"""The header of a decision: JSON {at, by, places: [[partition, offset, time of the refusal], …]}."""

PATIENCE_S = 60.0
"""How long another's open transaction on `control` is waited for; the broker ends one that was left open sooner."""


class Replayed(NamedTuple):
    """When (ms) and by whom a record was re-entered."""

    at: int
    by: str


class Ledger:
    """The replays of one application."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, int, int], Replayed] = {}

    def of(self, refused: Refused) -> Replayed | None:
        """Who re-entered it, if anyone did."""
        return self._done.get(refused.identity)

    def take(self, record: Record) -> None:
        """Take in a record of `control`. Raises StreammlError if it claims a replay that cannot be read."""
        for name, value in record.headers:
            if name != REPLAYED:
                continue
            try:
                found = orjson.loads(value)
                entry = Replayed(int(found["at"]), str(found["by"]))
                self._done |= {(int(p), int(o), int(at)): entry for p, o, at in found["places"]}
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise StreammlError(
                    f"{record.topic}[{record.partition}]@{record.offset}: the header {REPLAYED} cannot be read "
                    f"({error}); nothing is replayed while it is not known what was: find out who wrote it"
                ) from error


def header_of(refused: Sequence[Refused], at: int, by: str) -> tuple[str, bytes]:
    """The header of the decision that says that these were re-entered."""
    return REPLAYED, orjson.dumps({"at": at, "by": by, "places": [list(r.identity) for r in refused]})


def in_words(places: Sequence[Place]) -> str:
    """The places, with neighbours drawn together and not all of many: `0@3-7, 0@9 and 41 more`."""
    ordered = sorted(places)
    breaks = [i for i, (a, b) in enumerate(pairwise(ordered), 1) if b != (a.partition, a.offset + 1)]
    runs = [ordered[start:end] for start, end in zip([0, *breaks], [*breaks, len(ordered)], strict=True)]
    shown, more = runs[:10], sum(map(len, runs[10:]))
    said = ", ".join(f"{run[0]}-{run[-1].offset}" if len(run) > 1 else str(run[0]) for run in shown)
    return f"{said} and {more} more" if more else said


async def read_ledger(connection: Connection, control: str, *, whole: bool = False) -> Ledger:
    """The replays that the topic `control` tells of.

    `whole`: also those behind a transaction of others that is still open, which ends or is ended meanwhile. Who has
    fenced all other replays and reads so has seen every replay that there will ever have been before his own.

    Raises BrokerError: no such topic, no broker answers, or that transaction does not end.
    """
    ledger, tp = Ledger(), TopicPartition(control, 0)

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            for record in records:
                ledger.take(record)

    with told(connection, control):
        await require_topics(connection, [control])
        span = await _span(connection, tp, whole)
        try:
            async with asyncio.timeout(PATIENCE_S if whole else None):
                await read_spans(connection, "streamml-quarantine", {tp: span}, feed, Progress())
        except TimeoutError:
            raise BrokerError(
                f"{control} was not read to its end within {PATIENCE_S:g} s: a transaction of another is open on it; "
                "try again, or look for it with kafka-transactions.sh"
            ) from None
    return ledger


async def _span(connection: Connection, tp: TopicPartition, whole: bool) -> Span:
    """To the last stable offset, or if `whole` to the very end, which may lie behind it."""
    name = "streamml-quarantine"
    # By default aiokafka's consumer reads uncommitted: only such a one is told where the log really ends.
    reader = (
        AIOKafkaConsumer(**connection.client(), client_id=name, enable_auto_commit=False)
        if whole
        else log_reader(connection, name)
    )
    try:
        await reader.start()
        reader.assign(theirs([tp]))
        return (await bounds(reader, [tp]))[theirs([tp])[0]]
    finally:
        await end_client(reader)
