"""Any model at any position, out of Kafka. Law: nothing is written, no group is joined, no log is ever held whole.

`models` is read for its headers, then for the one snapshot that stands nearest; `examples` from there on, as far as is
needed, and not at all where a snapshot stands at the position itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamml.agents.roster import Decision, Roster
from streamml.engine.catalog import Catalog, schemas_of
from streamml.engine.rebuild import Course
from streamml.engine.starts import Shelf, Start, assemble, starts
from streamml.errors import DecodeError, SnapshotError, StreammlError
from streamml.models import Fold, Lineage
from streamml.records import Record, TopicPartition
from streamml.runtime.admin import require_topics
from streamml.runtime.applying import registered
from streamml.runtime.clients import end_client, log_reader
from streamml.runtime.connection import Connection
from streamml.runtime.quarantine.refused import told
from streamml.runtime.registry import SchemaStore
from streamml.runtime.restore import Feed, Progress, Span, bounds, read_spans
from streamml.schemas import Codec
from streamml.snapshots import Snapshot
from streamml.topology import Topology

log = logging.getLogger(__name__)

_NAME = "streamml-rebuild"
_END = 1 << 62


@dataclass(frozen=True)
class Rebuilt:
    """A model at its position, where that began, and how many examples were replayed from there."""

    fold: Fold
    start: Start
    replayed: int


class _Enough(Exception):
    """Ends the reading of a span early."""


async def rebuild(
    connection: Connection,
    topology: Topology,
    catalog: Catalog,
    lineages: Mapping[str, Lineage],
    name: str,
    position: int,
    key: bytes | None,
) -> Fold:
    """The model `name` of `lineages` after `position` examples; `key` is the application's signing key.

    Raises:
        StreammlError: no such model, no such position (yet, or any more), or the log cannot be read.
    """
    return (await rebuilt(connection, topology, catalog, lineages, name, position, key)).fold


async def rebuilt(
    connection: Connection,
    topology: Topology,
    catalog: Catalog,
    lineages: Mapping[str, Lineage],
    name: str,
    position: int,
    key: bytes | None,
) -> Rebuilt:
    """The same, with where it comes from."""
    lineage = lineages.get(name)
    if lineage is None:
        raise StreammlError(f"{topology.name} has no model {name!r}: it has {', '.join(lineages)}")
    examples = TopicPartition(topology.topic("examples"), 0)
    shelf = await read_shelf(connection, topology, catalog.codec("models"), key)
    held = await held_spans(connection, [examples])
    first = held[examples].start
    near = starts(shelf, lineage, lineages, position, first)
    course = await _begin(connection, topology, catalog, lineage, near, key)
    if course is None:
        raise StreammlError(_gone(topology, lineage, lineages, position, first, shelf))
    await _follow(connection, examples, course, position)
    return Rebuilt(course.fold, course.start, course.replayed)


async def read_shelf(connection: Connection, topology: Topology, codec: Codec, key: bytes | None) -> Shelf:
    """Which snapshots there are. Raises BrokerError."""
    shelf = Shelf(codec.decode, key)

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            for record in records:
                shelf.take(record)
            await asyncio.sleep(0)

    await read_whole(connection, topology.topic("models"), feed)
    return shelf


async def read_control(connection: Connection, topology: Topology, codec: Codec) -> list[tuple[int, Decision]]:
    """The entries of `control` that can be read, commands and decisions, each with its offset. Raises BrokerError."""
    entries: list[tuple[int, Decision]] = []

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            for record in records:
                try:
                    entries.append((record.offset, codec.decode(record.value or b"")))
                except DecodeError:
                    continue  # Anyone may write there: govern has refused it.

    await read_whole(connection, topology.topic("control"), feed)
    return entries


async def read_roster(connection: Connection, topology: Topology, codec: Codec) -> Roster:
    """The models and their forks, as `control` has decided so far. Raises BrokerError."""
    roster = Roster(topology)
    for _, entry in await read_control(connection, topology, codec):
        if entry["kind"] == "decision":
            roster.apply(entry)
    return roster


async def read_catalog(topology: Topology, store: SchemaStore) -> Catalog:
    """The codecs of a topology that was applied. Raises SchemaError if it was not, or has changed since."""
    ids = {role: await registered(topology, store, role) for role in schemas_of(topology)}
    return Catalog(topology, store.registry, ids)


async def read_whole(connection: Connection, topic: str, feed: Feed) -> None:
    """Feed all that partition 0 of `topic` holds now. Raises BrokerError."""
    partition = TopicPartition(topic, 0)
    spans = await held_spans(connection, [partition])
    with told(connection, topic):
        await read_spans(connection, _NAME, spans, feed, Progress())


async def held_spans(connection: Connection, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Span]:
    """The offsets that these partitions hold now. Raises BrokerError."""
    topics = sorted({partition.topic for partition in partitions})
    with told(connection, ", ".join(topics)):
        await require_topics(connection, topics)
        reader = log_reader(connection, _NAME)
        try:
            await reader.start()
            return {TopicPartition(*tp): span for tp, span in (await bounds(reader, partitions)).items()}
        finally:
            await end_client(reader)


async def _begin(
    connection: Connection,
    topology: Topology,
    catalog: Catalog,
    lineage: Lineage,
    near: Sequence[Start],
    key: bytes | None,
) -> Course | None:
    """At the nearest start whose snapshot, if it has one, can be opened; None if there is no start."""
    for start in near:
        try:
            snapshot = await read_snapshot(connection, topology, catalog, start, key)
            return await asyncio.to_thread(Course, lineage, topology.target, catalog.examples, start, snapshot)
        except SnapshotError as error:
            log.info("%s is not used: %s", start, str(error).partition(";")[0])
    return None


async def read_snapshot(
    connection: Connection, topology: Topology, catalog: Catalog, start: Start, key: bytes | None
) -> Snapshot | None:
    if start.header is None:
        return None
    models, wanted = TopicPartition(topology.topic("models"), 0), set(start.chunks)
    found: list[Record] = []

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            found.extend(record for record in records if record.offset in wanted)

    # Each by itself: its chunks may lie far apart, and those of others between them.
    spans = [Span(offset, offset + 1) for offset in start.chunks]
    if start.chunks[-1] - start.chunks[0] < 2 * len(start.chunks):
        spans = [Span(start.chunks[0], start.chunks[-1] + 1)]
    with told(connection, models.topic):
        for span in spans:
            await read_spans(connection, _NAME, {models: span}, feed, Progress())
    return assemble(found, catalog.codec("models").decode, key)


async def _follow(connection: Connection, examples: TopicPartition, course: Course, position: int) -> None:
    """Replay the examples behind the start, and once more from there after each that makes the model raise."""
    going = True

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        nonlocal going
        for records in batch.values():
            values = [record.value for record in records]
            going = await asyncio.to_thread(course.take, values, position)
            if not going or course.fold.position >= position:
                raise _Enough

    while course.fold.position < position:
        going = True
        end = (await held_spans(connection, [examples]))[examples].end
        try:
            with told(connection, examples.topic):
                await read_spans(connection, _NAME, {examples: Span(course.start.offset, end)}, feed, Progress())
        except _Enough:
            continue
        if going:
            name = course.lineage.name
            raise StreammlError(
                f"{examples.topic} holds {course.fold.position} examples, so there is no {name}@{position} yet: "
                f"ask for a position up to {course.fold.position}"
            )


def _gone(
    topology: Topology,
    lineage: Lineage,
    lineages: Mapping[str, Lineage],
    position: int,
    first: int,
    shelf: Shelf,
) -> str:
    left = [start.position for start in starts(shelf, lineage, lineages, _END, first) if start.position > position]
    said = (
        f"{topology.topic('examples')} begins at offset {first}, what came before was deleted, and no snapshot that "
        f"can be used leads to {lineage.name}@{position}"
    )
    return f"{said}: from position {min(left)} on it can be rebuilt" if left else f"{said}: it cannot be rebuilt"
