"""Opening a unit. Law: fence first, then read the offsets, then rebuild the state; never in another order.

An offset read before the former owner is fenced may still move, and its records would be worked on twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from streamml.errors import BrokerError
from streamml.records import Record, Role, TopicPartition
from streamml.runtime.clients import theirs
from streamml.runtime.context import Context
from streamml.runtime.inbox import Inbox
from streamml.runtime.outbox import Outbox
from streamml.runtime.restore import Progress, Span, bounds, read_spans
from streamml.runtime.stepper import Stepper

log = logging.getLogger(__name__)

_SETTLING_S = 5.0


async def open_unit(
    context: Context,
    unit: int,
    inputs: Mapping[TopicPartition, Role],
    outbox: Outbox,
    stepper: Stepper,
    progress: Progress,
) -> dict[TopicPartition, int]:
    """Bring the unit's agent to where the committed offsets are; returns the offsets to read from.

    `progress` is of the restore, then of the replay; it stands at 0 of 0 otherwise.
    """
    await outbox.start()
    context.reach("fenced")
    committed = await _committed(context, list(inputs))
    await stepper.build()
    try:
        await _restore(context, unit, stepper, progress)
        context.reach("restored")
        return await _replay(context, unit, inputs, committed, stepper, progress)
    finally:
        progress.done = progress.total = 0


async def _committed(context: Context, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """The committed offset by partition; the log's beginning where nothing was ever committed."""
    answers = await asyncio.gather(*(context.consumer.committed(tp) for tp in theirs(partitions)))
    found = dict(zip(partitions, answers, strict=True))
    held = await _settled_bounds(context, found)
    committed: dict[TopicPartition, int] = {}
    for tp, offset in found.items():
        begin = held[tp].start
        if offset is not None and offset < begin:
            log.warning(
                "%s: offsets %d to %d of %s/%d were deleted by retention before they were read: "
                "give the topic a longer retention",
                context.group,
                offset,
                begin - 1,
                *tp,
            )
        committed[tp] = begin if offset is None else max(offset, begin)
    return committed


async def _settled_bounds(context: Context, found: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, Span]:
    """What the logs hold. Right after its restart a broker may for a moment show less than it has."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLING_S
    while True:
        held = await bounds(context.consumer, list(found))
        beyond = [(tp, offset) for tp, offset in found.items() if offset is not None and offset > held[tp].end]
        if not beyond:
            return held
        if loop.time() > deadline:
            tp, offset = beyond[0]
            raise BrokerError(
                f"{tp.topic}/{tp.partition} ends at offset {held[tp].end} but {context.group} committed {offset}: "
                "the topic was made anew or lost data; delete the group's offsets, or give the topology another name"
            )
        await asyncio.sleep(0.2)


async def _restore(context: Context, unit: int, stepper: Stepper, progress: Progress) -> None:
    if context.task.changelog is None:
        return
    tp = TopicPartition(context.topics[context.task.changelog], context.own(unit))

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            await stepper.restore(records)

    spans = await bounds(context.consumer, [tp])
    await read_spans(context.connection, f"{context.transactional_id(unit)}-restore", spans, feed, progress)


async def _replay(
    context: Context,
    unit: int,
    inputs: Mapping[TopicPartition, Role],
    committed: dict[TopicPartition, int],
    stepper: Stepper,
    progress: Progress,
) -> dict[TopicPartition, int]:
    start = await stepper.resume(committed)
    ahead = {tp: start[tp] for tp in committed if start.get(tp, 0) > committed[tp]}
    if ahead:
        # The state holds these records and its outputs stand: the group's offsets have expired, or were reset.
        log.warning(
            "%s unit %d: reading on from the state's offsets %s, past the committed ones", context.group, unit, ahead
        )
    inbox = Inbox(inputs, context.task.inputs)

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        inbox.put(batch)
        while inbox.size:
            before = inbox.size
            records, _ = inbox.take(stepper.limit)
            await stepper.step(records, before - inbox.size)
            await asyncio.sleep(0)
        context.counters.replayed += sum(len(records) for records in batch.values())

    spans = {tp: Span(start[tp], offset) for tp, offset in committed.items() if start.get(tp, offset) < offset}
    await read_spans(context.connection, f"{context.transactional_id(unit)}-replay", spans, feed, progress)
    return committed | ahead
