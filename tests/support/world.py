"""Two worlds for one story: the Driver's logs in memory, and real Kafka. A story does not know in which it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson

from streamml import Topology
from streamml.agents.live import LiveModels
from streamml.engine.build import build_tasks
from streamml.engine.catalog import Catalog
from streamml.engine.layout import topics
from streamml.records import Role
from streamml.runtime.clients import Tuning
from streamml.runtime.connection import Connection
from streamml.runtime.context import Counters
from streamml.runtime.plane import Plane
from streamml.runtime.session import Session
from streamml.testing import Driver, ManualClock
from support.kafka import create_topics, produce, read_all

T = TypeVar("T")
PATIENCE_S = 60


class World(Protocol):
    """What a story needs."""

    topology: Topology
    clock: ManualClock
    catalog: Catalog

    def produce(self, role: Role, value: Mapping[str, Any] | bytes, **place: Any) -> None:
        """Append to events or feedback, as an outside producer would."""

    def wait(self, role: Role, count: int) -> None:
        """Go on until `role` holds `count` records."""

    def until(self, role: Role, count: int) -> list[dict[str, Any]]:
        """The same, and return their decoded values in log order (of one partition)."""

    def settle(self) -> None:
        """Go on until everything that was read has been worked on."""

    def learned(self, position: int) -> None:
        """Go on until the live champion has learned so many examples."""

    def predicted(self, count: int) -> None:
        """Go on until so many events were scored."""

    def raw(self, role: Role) -> list[Any]:
        """The records of a role, with `key`, `value` and `headers`."""

    def crash(self) -> None:
        """Lose every process without a warning, and start again."""

    def close(self) -> None: ...


class MemoryWorld:
    """The Driver."""

    def __init__(self, topology: Topology, **options: Any) -> None:
        self.topology = topology
        self._driver = Driver(topology, **options)
        self.clock = self._driver.clock
        self.catalog = self._driver.catalog

    def produce(self, role: Role, value: Mapping[str, Any] | bytes, **place: Any) -> None:
        self._driver.produce(role, value, **place)

    def wait(self, role: Role, count: int) -> None:
        self._driver.run()
        held = len(self._driver.records(role))
        assert held >= count, f"{role} holds {held} records, not {count}"

    def until(self, role: Role, count: int) -> list[dict[str, Any]]:
        self.wait(role, count)
        return self._driver.read(role)

    def settle(self) -> None:
        self._driver.run()

    def learned(self, position: int) -> None:
        self._driver.run()
        assert self._driver.live.position(self.topology.champion) == position

    def predicted(self, count: int) -> None:
        self._driver.run()
        assert len(self._driver.records("predictions")) == count

    def raw(self, role: Role) -> list[Any]:
        return self._driver.records(role)

    def crash(self) -> None:
        self._driver.crash()

    def close(self) -> None:
        return


class KafkaWorld:
    """The runtime's planes on a real broker, in an event loop of their own; an independent client reads."""

    def __init__(
        self, topology: Topology, bootstrap: str, clock: ManualClock | None = None, state_dir: Path | None = None
    ) -> None:
        self.topology = topology
        self._state_dir = state_dir
        self.clock = clock or ManualClock()
        self.catalog = Catalog.in_memory(topology)
        self._bootstrap = bootstrap
        create_topics(bootstrap, {t.name: (t.partitions, dict(t.config)) for t in topics(topology)})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="planes")
        self._thread.start()
        self.live = LiveModels(topology.champion)
        self._planes: list[Plane] = []
        self._call(self._start())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _start(self) -> None:
        self.live = LiveModels(self.topology.champion)
        locks: dict[str, asyncio.Lock] = {}
        tasks = build_tasks(self.topology, self.catalog, self.live, state_dir=self._state_dir)
        tasks.sort(key=lambda task: task.name == "score")
        for task in tasks:
            if task.name == "score":
                await self._wait(lambda: self.live.get(self.live.champion) is not None)
            plane = Plane(
                self.topology.name,
                task,
                Connection(self._bootstrap),
                self.clock,
                self.topology.topic,
                locks,
                Tuning(commit_interval_s=0.1),
            )
            await plane.start()
            self._planes.append(plane)
        await self._wait(lambda: all(p.ready and p.sessions for p in self._planes))

    async def _wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                for plane in self._planes:
                    plane.check()
                await asyncio.sleep(0.002)

    async def _stop(self) -> None:
        for plane in self._planes:
            await plane.stop()
        self._planes.clear()

    def produce(self, role: Role, value: Mapping[str, Any] | bytes, **place: Any) -> None:
        source = self.topology.events if role == "events" else self.topology.feedback
        if isinstance(value, Mapping):
            key = str(value.get(source.id, "")).encode()
            as_json = role != "control" and source.format == "json"
            data = orjson.dumps(dict(value)) if as_json else self.catalog.codec(role).encode(value)
        else:
            key, data = b"", value
        produce(self._bootstrap, self.topology.topic(role), [(key, data)])

    def wait(self, role: Role, count: int) -> None:
        self._call(self._until(role, count))

    def until(self, role: Role, count: int) -> list[dict[str, Any]]:
        self.wait(role, count)
        return [self.catalog.codec(role).decode(m.value()) for m in self._messages(role) if m.value() is not None]

    async def _until(self, role: Role, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(await asyncio.to_thread(self._messages, role)) < count:
                for plane in self._planes:
                    plane.check()
                await asyncio.sleep(0.01)

    def settle(self) -> None:
        """Nothing is left to read, and every plane has stepped once more since: so what it had read is committed."""
        self._call(self._settle())

    async def _settle(self) -> None:
        def idle() -> bool:
            return all(p.ready and not any(p.lag().values()) for p in self._planes)

        while True:
            await self._wait(idle)
            before = [(p.counters, p.counters.steps) for p in self._planes]
            await self._wait(partial(_all_stepped, before))
            if idle():
                return

    def learned(self, position: int) -> None:
        self._call(self._wait(lambda: self.live.position(self.topology.champion) >= position))

    def predicted(self, count: int) -> None:
        score = self._planes[-1]
        self._call(self._wait(lambda: sum(_scored(s) for s in score.sessions.values()) >= count))

    def plane(self, task: str) -> Plane:
        """The plane at work on the task."""
        return next(plane for plane in self._planes if plane.task.name == task)

    def raw(self, role: Role) -> list[Any]:
        return [_Raw(m.key(), m.value(), m.headers() or []) for m in self._messages(role)]

    def _messages(self, role: Role) -> list[Any]:
        return read_all(self._bootstrap, self.topology.topic(role))

    def crash(self) -> None:
        """The planes end without a commit, as after a kill; new ones take over and fence them."""

        async def kill() -> None:
            for plane in self._planes:
                for session in plane.sessions.values():
                    session.task.cancel()
            await self._stop()
            await self._start()

        self._call(kill())

    def close(self) -> None:
        try:
            self._call(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _all_stepped(before: list[tuple[Counters, int]]) -> bool:
    return all(counters.steps > steps for counters, steps in before)


def _scored(session: Session) -> float:
    return sum(reading.value for reading in session.observe() if reading.name == "scored_total")


@dataclasses.dataclass(frozen=True)
class _Raw:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
