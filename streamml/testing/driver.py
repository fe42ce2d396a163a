"""A whole topology over logs in memory. Law: the agents are those of production; only the logs and the clock are
made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from streamml.agents.agent import Agent
from streamml.agents.live import LiveModels
from streamml.engine.build import build_tasks
from streamml.engine.catalog import Catalog
from streamml.engine.layout import topics
from streamml.engine.task import Task
from streamml.errors import DecodeError, StateLost
from streamml.partitioning import partitions_of
from streamml.records import Batch, LogRecord, Role, TopicPartition
from streamml.schemas import Registry
from streamml.testing.clock import ManualClock
from streamml.testing.logs import MemoryLogs
from streamml.topology import Topology


class _Session:
    """One agent over its partitions: what a partition session is on Kafka."""

    def __init__(
        self, driver: Driver, task: Task, unit: int, committed: dict[TopicPartition, int] | None = None
    ) -> None:
        self.task = task
        self.unit = unit
        self._driver = driver
        self._role_of = {driver.topology.topic(role): role for role in task.inputs}
        self._sources = [
            tp
            for role in task.inputs
            for tp in driver.logs.partitions(driver.topology.topic(role))
            if task.scope == "whole" or tp.partition == unit
        ]
        self.committed = committed or dict.fromkeys(self._sources, 0)
        self.agent = self._open()

    def _open(self) -> Agent:
        while (agent := self._opened()) is None:
            pass  # An example that cannot be learned was found, and is skipped the next time.
        return agent

    def _opened(self) -> Agent | None:
        driver, task = self._driver, self.task
        agent = task.build(self.unit)
        if task.changelog is not None:
            home = TopicPartition(driver.topology.topic(task.changelog), self._home)
            agent.restore(driver.logs.read(home, 0))
        start = dict(agent.resume(self.committed))
        while any(start[tp] < self.committed[tp] for tp in self._sources):
            try:
                agent.step(self._batch(start, self.committed), driver.clock())
            except StateLost as error:
                driver.reports.append(str(error))
                return None
        return agent

    @property
    def _home(self) -> int:
        return self.unit if self.task.scope == "partition" else 0

    def advance(self) -> bool:
        """Take one batch in and commit what it gives; whether there was one."""
        driver = self._driver
        ends = {tp: driver.logs.end(tp) for tp in self._sources}
        before = dict(self.committed)
        batch = self._batch(self.committed, ends)
        now = driver.clock()
        try:
            writes = self.agent.step(batch, now)
        except StateLost as error:
            driver.reports.append(str(error))
            self.committed = before
            self.agent = self._open()
            return True
        for role, changes in (*writes.items(), *self.agent.checkpoint(now).items()):
            home = self._home if role == self.task.changelog else None
            driver.logs.extend(driver.topology.topic(role), changes, home)
        return bool(batch) or bool(writes)

    def _batch(self, start: dict[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> Batch:
        batch: dict[Role, list[LogRecord]] = {}
        for tp in self._sources:
            most = min(self._driver.max_records, ends[tp] - start[tp])
            if most > 0:
                records = self._driver.logs.read(tp, start[tp], most)
                batch.setdefault(self._role_of[tp.topic], []).extend(records)
                start[tp] += len(records)
        return batch


class Driver:
    """A running topology that goes on only when it is told to.

    Example:
        driver = Driver(topology)
        driver.produce("events", {"id": "1", ...})
        driver.run()
        driver.read("predictions")
    """

    def __init__(
        self,
        topology: Topology,
        *,
        clock: ManualClock | None = None,
        registry: Registry | None = None,
        signing_key: bytes | None = None,
        max_records: int = 500,
    ) -> None:
        self.topology = topology
        self.clock = clock or ManualClock()
        self.max_records = max_records
        self.catalog = Catalog.in_memory(topology, registry)
        self.logs = MemoryLogs({t.name: t.partitions for t in topics(topology)})
        self.reports: list[str] = []
        self.live = LiveModels(topology.champion)
        self._key = signing_key
        self._decided = 0
        self._sessions: list[_Session] = self._open()

    def produce(
        self,
        role: Role,
        value: Mapping[str, Any] | bytes | None,
        *,
        key: bytes | None = None,
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> LogRecord:
        """Append one record to `events`, `feedback` or `control`: a mapping is encoded as the topology says, bytes
        go as they are.

        The key defaults to the id; the timestamp (ms) to the clock; the partition follows from the key.
        """
        source = self.topology.events if role == "events" else self.topology.feedback
        if isinstance(value, Mapping):
            if key is None and role in ("events", "feedback"):
                key = str(value.get(source.id, "")).encode()
            as_json = role in ("events", "feedback") and source.format == "json"
            data: bytes | None = orjson.dumps(dict(value)) if as_json else self.catalog.codec(role).encode(value)
        else:
            data = value
        topic = self.topology.topic(role)
        if partition is None:
            partition = partitions_of([key or b""], len(self.logs.partitions(topic)))[0]
        return self.logs.append(topic, partition, key, data, self.clock() if timestamp is None else timestamp)

    def run(self, rounds: int = 1_000_000) -> None:
        """Go on until nothing is left to do (at most `rounds` rounds over all tasks)."""
        for _ in range(rounds):
            moved = [session.advance() for session in self._sessions]
            self._follow_control()
            if not any(moved):
                return

    def read(self, role: Role) -> list[dict[str, Any]]:
        """The decoded values of a topic."""
        codec = self.catalog.codec(role)
        return [codec.decode(record.value) for record in self.records(role) if record.value is not None]

    def records(self, role: Role) -> list[LogRecord]:
        """The records of a topic, as they stand in its log."""
        return self.logs.all(self.topology.topic(role))

    def agents(self, task: str) -> list[Agent]:
        """The agents of one task, by partition."""
        return [session.agent for session in self._sessions if session.task.name == task]

    def crash(self) -> None:
        """Throw every agent and every model away, and start again from what the logs hold."""
        committed = [session.committed for session in self._sessions]
        self.live = LiveModels(self.topology.champion)
        self._decided = 0
        self._sessions = self._open(committed)
        self._follow_control()

    def _follow_control(self) -> None:
        """Every process of a runtime folds the decisions in `control`; here there is one."""
        control = self.records("control")
        for record in control[self._decided :]:
            try:
                entry = self.catalog.codec("control").decode(record.value)
            except DecodeError:
                continue
            if entry["kind"] == "decision" and entry["accepted"] and entry["action"] == "promote":
                self.live.promote(entry["model"])
        self._decided = len(control)

    def _open(self, committed: Sequence[dict[TopicPartition, int] | None] | None = None) -> list[_Session]:
        tasks = build_tasks(self.topology, self.catalog, self.live, self._key, self.reports.append)
        units = [
            (task, unit)
            for task in tasks
            for unit in range(self.topology.partitions if task.scope == "partition" else 1)
        ]
        self.live.behind = self._behind
        before = committed or [None] * len(units)
        return [_Session(self, task, unit, offsets) for (task, unit), offsets in zip(units, before, strict=True)]

    def _behind(self, name: str) -> int:
        examples = self.logs.end(TopicPartition(self.topology.topic("examples"), 0))
        return max(0, examples - self.live.position(name))
