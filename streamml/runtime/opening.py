"""Opening a unit. Law: fence first, then read the offsets, then rebuild the state; never in another order.

An offset read before the former owner is fenced may still move, and its records would be worked on twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from streamml.errors import BrokerError, StreammlError
from streamml.records import Record, Role, TopicPartition
from streamml.runtime.clients import theirs
from streamml.runtime.context import Context
from streamml.runtime.inbox import Inbox
from streamml.runtime.outbox import Outbox
from streamml.runtime.restore import Progress, Span, bounds, read_spans
from streamml.runtime.stepper import Stepper

log = logging.getLogger(__name__)

_SETTLING_S = 5.0
_DISK_MS = 12 * 3_600_000
"""How old a state on disk may be: well below Kafka's default `delete.retention.ms`, after which the changelog may have
lost the tombstones that it missed."""


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

    Raises StreammlError where the state must be built from records that were deleted.
    """
    await outbox.start()
    context.reach("fenced")
    committed, never = await _committed(context, list(inputs))
    await stepper.build()
    try:
        await _restore(context, unit, stepper, progress)
        context.reach("restored")
        return await _replay(context, unit, inputs, committed, never, stepper, progress)
    finally:
        progress.done = progress.total = 0


async def _committed(
    context: Context, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], set[TopicPartition]]:
    """The committed offset by partition; the log's beginning where nothing was ever committed, and where that is."""
    answers = await asyncio.gather(*(context.consumer.committed(tp) for tp in theirs(partitions)))
    found = dict(zip(partitions, answers, strict=True))
    held = await _settled_bounds(context, found, "committed", "delete the group's offsets")
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
    return committed, {tp for tp, offset in found.items() if offset is None}


async def _settled_bounds(
    context: Context, found: Mapping[TopicPartition, int | None], what: str, fix: str
) -> dict[TopicPartition, Span]:
    """What the logs hold. Right after its restart a broker may for a moment show less than it has.

    Raises `BrokerError` if that stays less than what was found.
    """
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
                f"{tp.topic}/{tp.partition} ends at offset {held[tp].end} but {context.group} {what} {offset}: "
                f"the topic was made anew or lost data; {fix}, or give the topology another name"
            )
        await asyncio.sleep(0.2)


async def _restore(context: Context, unit: int, stepper: Stepper, progress: Progress) -> None:
    if context.task.changelog is None:
        return
    tp = TopicPartition(context.topics[context.task.changelog], context.own(unit))

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            await stepper.restore(records)

    async def read(start: int) -> None:
        spans = {tp: Span(max(start, held.start), held.end)}
        await read_spans(context.connection, f"{context.transactional_id(unit)}-restore", spans, feed, progress)

    local = stepper.local
    held = await _grown(context, tp, local.start if local is not None else 0)
    if local is not None and local.start and context.clock() - local.at > _DISK_MS:
        local.clear()
    await read(local.start if local is not None else 0)
    if local is not None and local.stale:
        log.warning(
            "%s unit %d: the state on disk is not of this changelog, which was made anew or lost data: reading it all",
            context.group,
            unit,
        )
        local.clear()
        await read(0)


async def _grown(context: Context, tp: TopicPartition, offset: int) -> Span:
    """What the log holds. As above: it is given the time to show what is known to stand at `offset`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLING_S
    while True:
        held = (await bounds(context.consumer, [tp]))[tp]
        if not offset or held.end > offset or loop.time() > deadline:
            return held
        await asyncio.sleep(0.2)


async def _replay(
    context: Context,
    unit: int,
    inputs: Mapping[TopicPartition, Role],
    committed: dict[TopicPartition, int],
    never: set[TopicPartition],
    stepper: Stepper,
    progress: Progress,
) -> dict[TopicPartition, int]:
    # That the log begins at a later offset than 0 does not mean that anything was read up to there.
    known = {tp: offset for tp, offset in committed.items() if not offset or tp not in never}
    start = await stepper.resume(known)
    ahead = {tp: start[tp] for tp in committed if start.get(tp, 0) > committed[tp]}
    if ahead:
        await _settled_bounds(context, ahead, "has a state at", "delete its snapshots or changelog")
        # The state holds these records and its outputs stand: the group's offsets have expired, or were reset.
        log.warning(
            "%s unit %d: reading on from the state's offsets %s, past the committed ones", context.group, unit, ahead
        )
    inbox = Inbox(inputs, context.task.inputs)

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        inbox.put(batch)
        while inbox.size:
            before = inbox.size
            records, taken = inbox.take(stepper.limit)
            if context.prepare is not None:
                await context.prepare(records)
            await stepper.step(records, before - inbox.size, taken)
            await asyncio.sleep(0)
        context.counters.replayed += sum(len(records) for records in batch.values())

    spans = {tp: Span(start[tp], offset) for tp, offset in committed.items() if start.get(tp, offset) < offset}
    await _refuse_deleted(context, spans)
    await read_spans(context.connection, f"{context.transactional_id(unit)}-replay", spans, feed, progress)
    return committed | ahead


async def _refuse_deleted(context: Context, spans: Mapping[TopicPartition, Span]) -> None:
    """A state cannot be built from what is gone. No later attempt could: so this is no loss of a session."""
    held = await bounds(context.consumer, list(spans))
    for tp, span in spans.items():
        if span.start >= held[tp].start:
            continue
        gone = (
            f"{tp.topic}/{tp.partition} begins at offset {held[tp].start}: what {context.group} needs from offset "
            f"{span.start} on was deleted, and no state of it that can be used reaches past that"
        )
        model = context.task.name.removeprefix("learn:")
        if model == context.task.name:
            raise StreammlError(f"{gone}; give the topic a longer retention, and the topology another name")
        raise StreammlError(
            f"{gone}; begin a new lineage after the cut: streamml models exclude TOPOLOGY {model} --from 0 --to "
            "POSITION, where `streamml doctor TOPOLOGY` names the position"
        )
