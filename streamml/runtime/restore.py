"""Reading a span of a log outside any group, to restore a changelog or to replay inputs.

Law: the end of a span is an offset, never a count, since transaction markers and compaction leave holes in the offsets.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamml.errors import StreammlError
from streamml.records import Record, TopicPartition
from streamml.runtime.clients import Consumer, answered, end_client, log_reader, theirs
from streamml.runtime.connection import Connection

log = logging.getLogger(__name__)

_BATCH = 2_000
_HOLE = 3


class Span(NamedTuple):
    """The offsets from `start` up to, and without, `end`."""

    start: int
    end: int


@dataclass
class Progress:
    """How far a restore or a replay is, in offsets."""

    done: int = 0
    total: int = 0


Feed = Callable[[Mapping[TopicPartition, Sequence[Record]]], Awaitable[None]]
"""Takes the next records, by partition and in log order; no more are read until it returns."""


async def bounds(consumer: Consumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Span]:
    """The offsets that each partition's log holds now, up to its last stable offset."""
    asked = theirs(partitions)
    if not asked:
        return {}
    begin, end = await consumer.beginning_offsets(asked), await consumer.end_offsets(asked)
    return {tp: Span(begin[tp], end[tp]) for tp in asked}


async def read_spans(
    connection: Connection, name: str, spans: Mapping[TopicPartition, Span], feed: Feed, progress: Progress
) -> None:
    """Feed every committed record of the spans. Raises `StreammlError` if a span's beginning no longer exists.

    A partition whose remaining offsets hold no record any more (compacted away, or markers only) is at its end too.
    """
    spans = {tp: span for tp, span in spans.items() if span.start < span.end}
    progress.done, progress.total = 0, sum(span.end - span.start for span in spans.values())
    if not spans:
        return
    reader = log_reader(connection, name)
    try:
        await reader.start()
        reader.assign(theirs(spans))
        _refuse_missing(spans, await bounds(reader, list(spans)))
        for tp, span in spans.items():
            reader.seek(*theirs([tp]), span.start)
        await _drain(reader, spans, feed, progress)
    finally:
        await end_client(reader)


def _refuse_missing(spans: Mapping[TopicPartition, Span], held: Mapping[TopicPartition, Span]) -> None:
    for tp, span in spans.items():
        if span.start < held[tp].start:
            raise StreammlError(
                f"{tp.topic}/{tp.partition}: offsets {span.start} to {held[tp].start - 1} are needed to rebuild the "
                "state but were deleted: give the topic a longer retention, or start from a newer snapshot"
            )


async def _drain(reader: Consumer, spans: Mapping[TopicPartition, Span], feed: Feed, progress: Progress) -> None:
    position = {tp: span.start for tp, span in spans.items()}
    silent: dict[TopicPartition, set[int]] = {tp: set() for tp in spans}
    open_: dict[TopicPartition, Any] = dict(zip(spans, theirs(spans), strict=True))
    while open_:
        fetched = await reader.getmany(*open_.values(), timeout_ms=200, max_records=_BATCH)
        batch = {tp: _cut(records, spans[tp].end) for tp, records in fetched.items()}
        if any(batch.values()):
            await feed({tp: records for tp, records in batch.items() if records})
        for tp, asked in list(open_.items()):
            at = await reader.position(asked)
            if at > position[tp]:
                silent[tp].clear()
            elif tp not in fetched and (answer := answered(reader, tp)) and answer[1] >= spans[tp].end:
                silent[tp].add(answer[0])
            position[tp] = at
            if at >= spans[tp].end or len(silent[tp]) > _HOLE:
                del open_[tp]
                reader.pause(asked)
        progress.done = sum(
            min(position[tp], span.end) - span.start if tp in open_ else span.end - span.start
            for tp, span in spans.items()
        )


def _cut(records: Sequence[Record], end: int) -> Sequence[Record]:
    if records[-1].offset < end:
        return records
    return [record for record in records if record.offset < end]
