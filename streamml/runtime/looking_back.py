"""The newest records of a log that is read for them alone. Law: from the end backwards, as far as it takes; what is
found is what the whole log would give, or it is said to be missing.

`metrics` and `models` are long, and their newest records say all about now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from streamml.engine.starts import Shelf, Start
from streamml.errors import DecodeError
from streamml.models import Lineage
from streamml.records import Record, TopicPartition
from streamml.runtime.connection import Connection
from streamml.runtime.quarantine.refused import told
from streamml.runtime.rebuilding import held_spans
from streamml.runtime.restore import Progress, Span, read_spans
from streamml.schemas import Codec
from streamml.topology import Topology

WINDOWS = (1_000, 4_000, 16_000)
"""How far back `metrics` is read: the reports between the windows come once a second."""
SNAPSHOTS = (64, 512, 1 << 62)
"""How far back `models` is read; all of it in the end, since it is thinned out."""


class Look(Protocol):
    """What takes the records of one look, in their order; `done` once nothing older is wanted."""

    def take(self, record: Record) -> None: ...

    @property
    def done(self) -> bool: ...


L = TypeVar("L", bound=Look)


class Windows:
    """The newest window of each of `lineages`, as it is defined now, in a log of metrics; `wanted` are waited for."""

    def __init__(self, codec: Codec, lineages: Mapping[str, Lineage], wanted: Collection[str]) -> None:
        self._decode, self._lineages = codec.decode, lineages
        self._missing = set(wanted)
        self.found: dict[str, dict[str, Any]] = {}

    def take(self, record: Record) -> None:
        lineage = self._lineages.get((record.key or b"").rpartition(b"/")[0].decode("utf-8", "replace"))
        if lineage is None:
            return
        try:
            window = self._decode(record.value)
        except DecodeError:
            return
        if window["digest"] == lineage.digest:
            self._missing.discard(lineage.name)
            self.found[lineage.name] = window

    @property
    def done(self) -> bool:
        return not self._missing


class Snapshots:
    """The newest snapshot of each of `lineages`, as it is defined now; `wanted` are waited for.

    With a `key` (see `snapshots.key_of`) what is not signed with it is passed over.
    """

    def __init__(
        self, codec: Codec, key: bytes | None, lineages: Mapping[str, Lineage], wanted: Collection[str]
    ) -> None:
        self._shelf = Shelf(codec.decode, key)
        self._lineages, self._wanted = lineages, wanted
        self.take = self._shelf.take

    @property
    def found(self) -> dict[str, Start]:
        return {name: starts[-1] for name, starts in by_lineage(self._shelf, self._lineages).items() if starts}

    @property
    def done(self) -> bool:
        return self.found.keys() >= set(self._wanted)


class AnySnapshot:
    """The snapshot that has come furthest, of whatever model."""

    def __init__(self, codec: Codec, key: bytes | None) -> None:
        self._shelf = Shelf(codec.decode, key)
        self.take = self._shelf.take

    @property
    def found(self) -> Start | None:
        return max(self._shelf, key=lambda start: start.position, default=None)

    @property
    def done(self) -> bool:
        return self.found is not None


def by_lineage(shelf: Shelf, lineages: Mapping[str, Lineage]) -> dict[str, list[Start]]:
    """The whole snapshots of each lineage as it is defined now, by position."""
    held: dict[str, list[Start]] = {name: [] for name in lineages}
    for start in sorted(shelf, key=lambda start: start.position):
        lineage = lineages.get(start.header["model"]) if start.header is not None else None
        if lineage is not None and start.header is not None and start.header["digest"] == lineage.digest:
            held[lineage.name].append(start)
    return held


async def look_back(connection: Connection, topic: str, begin: Callable[[], L], counts: Sequence[int]) -> L:
    """A look at the newest `counts[0]` offsets of partition 0, or at those of the next count if it is not done then.

    Raises BrokerError.
    """
    partition = TopicPartition(topic, 0)
    held = (await held_spans(connection, [partition]))[partition]
    look = begin()
    for count in counts:
        start = max(held.start, held.end - count)
        look = await _look(connection, partition, Span(start, held.end), begin())
        if look.done or start == held.start:
            break
    return look


async def _look(connection: Connection, partition: TopicPartition, span: Span, look: L) -> L:
    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for records in batch.values():
            for record in records:
                look.take(record)
        await asyncio.sleep(0)

    with told(connection, partition.topic):
        await read_spans(connection, "streamml-look", {partition: span}, feed, Progress())
    return look


async def newest_windows(
    connection: Connection, topology: Topology, codec: Codec, lineages: Mapping[str, Lineage], wanted: Collection[str]
) -> dict[str, dict[str, Any]]:
    """The newest window of each lineage that was found; one that stopped long ago is not. Raises BrokerError."""
    look = await look_back(connection, topology.topic("metrics"), lambda: Windows(codec, lineages, wanted), WINDOWS)
    return look.found


async def newest_snapshots(
    connection: Connection,
    topology: Topology,
    codec: Codec,
    key: bytes | None,
    lineages: Mapping[str, Lineage],
    wanted: Collection[str],
) -> dict[str, Start]:
    """The newest snapshot of each lineage that was found; of those that are not `wanted`, perhaps none. Raises
    BrokerError."""
    look = await look_back(
        connection, topology.topic("models"), lambda: Snapshots(codec, key, lineages, wanted), SNAPSHOTS
    )
    return look.found
