"""From the topics to MLflow. Law: what is read is committed; it is written in the order of each log, and once.

First everything up to the ends of the logs as of now; then, to follow, whatever comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from streamml.agents.roster import Roster
from streamml.errors import DecodeError, StreammlError
from streamml.export.book import Book, Mark
from streamml.export.contents import Ledger, Stored, place_of, stored_of, window_of
from streamml.export.server import Unreachable
from streamml.records import Record, Role
from streamml.runtime.applying import open_store
from streamml.runtime.connection import Connection
from streamml.runtime.tail import Decoder, tail
from streamml.snapshots import key_of
from streamml.snapshots.sealing import signature
from streamml.topology import Topology

log = logging.getLogger(__name__)
T = TypeVar("T")

ROLES: tuple[Role, ...] = ("control", "metrics", "models")
_TOMBSTONES_LAST = 12 * 3_600_000
"""Half of what Kafka keeps them at least (`delete.retention.ms`): who comes later has to look at all of `models`."""
_FIELDS: Mapping[Role, Set[str]] = {
    "control": {"kind", "action", "model", "position", "accepted", "reason", "author", "command", "at"},
    "metrics": {"model", "digest", "first_position", "count", "scored", "metrics", "cumulative", "baselines", "at"},
    "models": {"header", "chunk"},
}
"""What each version of their schemas has."""
_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass
class Told:
    """What an export has done so far."""

    windows: int = 0
    versions: int = 0
    dropped: int = 0
    decisions: int = 0
    refused: int = 0
    """Records that could not be read, and snapshots that are not signed with our key."""
    champion: tuple[str, int, int] | None = None
    """The registered model, its version, and the position that this is: what `champion` is on."""


@dataclass
class _Models:
    """What was read of `models` and is not written yet, in the order of the log."""

    stored: dict[tuple[str, int], Stored] = field(default_factory=dict)
    gone: dict[tuple[str, int], None] = field(default_factory=dict)


async def export(
    topology: Topology,
    where: Connection,
    registry: str | None,
    book: Book,
    *,
    secret: bytes | None,
    follow: bool,
    done: Callable[[Told], None],
    clock: Callable[[], float] = time.time,
) -> None:
    """Write what `topology` has on Kafka into `book`; call `done` when it is all there, then, to `follow`, go on.

    With a `secret` (see `snapshots.key_of`) only snapshots that are signed with it are registered. While following, a
    server that does not answer is waited for. Raises StreammlError.
    """
    store = open_store(topology.name, where, registry)
    try:
        exporter = _Exporter(topology, where, Decoder(store), book, secret, clock)
        await exporter.catch_up()
        done(exporter.told)
        if follow:
            await exporter.follow(done)
    finally:
        await store.close()


class _Exporter:
    def __init__(
        self,
        topology: Topology,
        where: Connection,
        decoder: Decoder,
        book: Book,
        secret: bytes | None,
        clock: Callable[[], float],
    ) -> None:
        self.told = Told()
        self._topology = topology
        self._where = where
        self._decoder = decoder
        self._book = book
        self._key = None if secret is None else key_of(secret, topology.name)
        self._clock = clock
        self._roster = Roster(topology)
        self._ledger = Ledger()
        self._models = _Models()
        self._whole = False
        self._marks: dict[Role, Mark] = {}
        self._next = {role: mark.offset for role, mark in book.marks.items()}
        self._following = False
        self._writing = asyncio.Lock()

    async def catch_up(self) -> None:
        now = int(self._clock() * 1_000)
        exported = self._book.at
        self._whole = "models" not in self._next or exported is None or now - exported > _TOMBSTONES_LAST
        self._next["control"] = 0  # Who serves follows from all of it.
        if self._whole:
            self._next["models"] = 0
        await self._read("control")
        if (last := self._book.marks.get("control")) and self._next["control"] <= last.offset:
            raise self._foreign("control", last)
        await self._read("metrics")
        await self._read("models")
        await self._settle()

    async def follow(self, done: Callable[[Told], None]) -> None:
        """Write what comes, until cancelled."""
        self._following = True

        async def each(role: Role) -> None:
            async def take(records: Sequence[Record]) -> bool:
                async with self._writing:
                    before = self.told.champion
                    await self._take(role, records)
                    await self._settle()
                    if self.told.champion != before:
                        done(self.told)
                return True

            await tail(self._where, self._topology.topic(role), self._next.get(role, 0), True, take)

        tasks = [asyncio.create_task(each(role)) for role in ROLES]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, role: Role) -> None:
        async def take(records: Sequence[Record]) -> bool:
            await self._take(role, records)
            return True

        await tail(self._where, self._topology.topic(role), self._next.get(role, 0), False, take)

    async def _take(self, role: Role, records: Sequence[Record]) -> None:
        if not records:
            return
        await self._decoder.meet([record.value for record in records])
        last = self._book.marks.get(role)
        fresh = [record for record in records if not self._known(role, record, last)]
        if role == "control":
            for record in records:
                self._decision(record)
        elif role == "metrics":
            values = [value for record in fresh if (value := self._value(role, record))]
            windows = [window for value in values if (window := window_of(value)) is not None]
            self.told.windows += await self._write(lambda: self._book.write(windows))
        else:
            for record in records if self._whole else fresh:
                self._snapshot(record)
        self._marks[role] = Mark(records[-1].offset, _sum(records[-1]))
        self._next[role] = records[-1].offset + 1
        if role == "metrics":
            await self._save(role)

    def _known(self, role: Role, record: Record, last: Mark | None) -> bool:
        """Whether this record was exported before. Raises if the log is another one than then."""
        if last is None or record.offset > last.offset:
            return False
        if record.offset == last.offset and _sum(record) != last.sum:
            raise self._foreign(role, last)
        return True

    def _decision(self, record: Record) -> None:
        if (value := self._value("control", record)) is not None:
            decision = self._ledger.add(record.offset, value)
            if decision is not None:
                self._roster.apply(decision.value)

    def _snapshot(self, record: Record) -> None:
        place = place_of(record.key)
        if place is None or place[2] != 0:
            return  # The chunks of a snapshot are committed together, and go together.
        which = place[:2]
        if record.value is None:
            self._models.stored.pop(which, None)
            self._models.gone[which] = None
        elif (value := self._value("models", record)) is not None:
            header = value["header"]
            if self._key is not None and header["signature"] != signature(header, self._key):
                self.told.refused += 1
                return
            self._models.stored.pop(which, None)
            self._models.stored[which] = stored_of(header)
            self._models.gone.pop(which, None)

    async def _settle(self) -> None:
        """Write what was gathered of `models` and `control`, and what follows of both."""
        held, whole = self._models, self._whole
        self.told.versions += await self._write(
            lambda: self._book.hold(list(held.stored.values()), list(held.gone), whole)
        )
        last = self._book.marks.get("control")
        if new := [d for d in self._ledger.decisions if last is None or d.offset > last.offset]:
            await self._write(lambda: self._book.decide(self._ledger))
            self.told.decisions += len(new)
        self.told.champion, dropped = await self._write(lambda: self._book.stand(self._roster, self._ledger))
        self.told.dropped += dropped
        self._models, self._whole = _Models(), False
        await self._save(*ROLES)

    async def _save(self, *roles: Role) -> None:
        """All that was read of these is written."""
        marks = {role: self._marks[role] for role in roles if role in self._marks}
        if any(self._book.marks.get(role) != mark for role, mark in marks.items()):
            now = int(self._clock() * 1_000)
            await self._write(lambda: self._book.save(marks, now))

    async def _write(self, work: Callable[[], T]) -> T:
        """Do it in a thread. While following, wait for a server that does not answer, and do it again."""
        tries = 0
        while True:
            try:
                if tries:
                    await asyncio.to_thread(self._book.reopen)
                return await asyncio.to_thread(work)
            except Unreachable as error:
                if not self._following:
                    raise
                if not tries:
                    log.warning("%s; waiting for it", error)
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    def _value(self, role: Role, record: Record) -> dict[str, Any] | None:
        """What the record says; None for what none of ours has written."""
        try:
            value = self._decoder.avro(record.value or b"")
        except DecodeError:
            value = {}
        if _FIELDS[role] <= value.keys():
            return value
        self.told.refused += 1
        return None

    def _foreign(self, role: Role, last: Mark) -> StreammlError:
        return StreammlError(
            f"{self._topology.topic(role)} at {self._where.bootstrap} is not the topic whose record {last.offset} was "
            f"exported to the experiment {self._book.name}: it was made anew, or is that of another cluster; give "
            "another --experiment"
        )


def _sum(record: Record) -> str:
    return hashlib.sha256(record.value or b"").hexdigest()[:16]
