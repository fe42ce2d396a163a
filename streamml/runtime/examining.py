"""Examines the models that learn here when `govern` asks for it. Law: what serves is not held up by it, and each
request is answered once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from streamml.agents.roster import Roster
from streamml.engine.catalog import Catalog
from streamml.engine.examining import answer_of, examined, pair
from streamml.engine.validation import Examination
from streamml.errors import BrokerError, StreammlError
from streamml.models import Lineage
from streamml.records import Record, TopicPartition
from streamml.runtime.connection import Connection
from streamml.runtime.produce import Message, produce
from streamml.runtime.quarantine.refused import told
from streamml.runtime.rebuilding import held_spans, read_shelf, read_snapshot
from streamml.runtime.restore import Progress, Span, read_spans
from streamml.topology import Topology

log = logging.getLogger(__name__)
_AGAIN_S = 1.0
"""How often is looked whether a model that was asked for has come here, or has a snapshot."""


class Examiner:
    """Answers for the models that `leads` says learn here; `clock` gives ms since the epoch."""

    def __init__(
        self,
        topology: Topology,
        connection: Connection,
        catalog: Catalog,
        roster: Roster,
        leads: Callable[[str], bool],
        key: bytes | None,
        author: str,
        clock: Callable[[], int],
    ) -> None:
        self._topology, self._connection, self._catalog = topology, connection, catalog
        self._roster, self._leads, self._key = roster, leads, key
        self._author, self._clock = author, clock
        self._answered: set[str] = set()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """The roster has changed."""
        self._answered &= self._roster.asked.keys()
        self._asked.set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="examiner")

    async def settled(self) -> None:
        """Nothing waits for it."""

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def check(self) -> None:
        """Raises what ended it, if it ended."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        while True:
            open_ = self._roster.asked.keys() - self._answered
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _AGAIN_S if open_ else None)
            self._asked.clear()
            for name in [name for name in self._roster.asked if name not in self._answered and self._leads(name)]:
                try:
                    await self._answer(name)
                except BrokerError as error:
                    log.warning("%s cannot be examined now (%s), trying again", name, error)

    async def _answer(self, name: str) -> None:
        found: Examination | StreammlError | None
        try:
            found = await self._examine(self._roster.lineages[name])
        except BrokerError:
            raise
        except StreammlError as error:
            found = error
        if found is None or name not in self._roster.asked:
            return
        control, at = self._topology.topic("control"), self._clock()
        value = self._catalog.codec("control").encode(answer_of(name, found, self._author, at))
        await produce(self._connection, [control], [Message(control, None, value, at)])
        self._answered.add(name)

    async def _examine(self, lineage: Lineage) -> Examination | None:
        """None while the model has no snapshot."""
        topology, connection, catalog = self._topology, self._connection, self._catalog
        examples = TopicPartition(topology.topic("examples"), 0)
        shelf = await read_shelf(connection, topology, catalog.codec("models"), self._key)
        held = (await held_spans(connection, [examples]))[examples]
        found = pair(shelf, lineage, self._roster.lineages, held.start, 4 * topology.snapshots.every)
        if found is None:
            return None
        older, newer = found
        snapshots = [await read_snapshot(connection, topology, catalog, start, self._key) for start in found]
        assert snapshots[1] is not None
        values: list[bytes | None] = []

        async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
            values.extend(record.value for records in batch.values() for record in records)

        span = Span(older.offset, newer.offset)
        with told(connection, examples.topic):
            await read_spans(connection, "streamml-examine", {examples: span}, feed, Progress())
        rows = map(catalog.examples.learnable, values)
        return await asyncio.to_thread(examined, topology, lineage, snapshots[0], snapshots[1], rows, time.perf_counter)
