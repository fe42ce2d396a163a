"""A whole topology over logs in memory. Law: the agents are those of production; only the logs and the clock are
made up."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import orjson

from streamml.agents.agent import Agent
from streamml.agents.live import LiveModels
from streamml.agents.roster import Roster
from streamml.engine.build import Builder
from streamml.engine.catalog import Catalog
from streamml.engine.examining import answer_of, examined, pair
from streamml.engine.layout import LEARN, topics
from streamml.engine.rebuild import Replay
from streamml.engine.starts import Shelf, assemble
from streamml.engine.task import Task
from streamml.engine.validation import Examination
from streamml.errors import DecodeError, StateLost, StreammlError
from streamml.models import Fold, Lineage
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
        for tp in self._sources:  # A state may begin past what was committed.
            self.committed[tp] = max(self.committed[tp], start[tp])
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
        self._key = signing_key
        self._sessions: list[_Session] = []
        self._rested: dict[str, dict[TopicPartition, int]] = {}
        self._begin({})

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
            if not any([*moved, self._follow_control(), self._examine()]):
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
        committed = {(session.task.name, session.unit): session.committed for session in self._sessions}
        self._begin(committed)

    def _begin(self, committed: Mapping[tuple[str, int], dict[TopicPartition, int]]) -> None:
        """One process starts, as one of a runtime does: it learns from `control` who learns and who serves."""
        topology = self.topology
        self.roster = Roster(topology)
        self.live = LiveModels(topology.champion, [m.name for m in topology.models if m.shadow])
        self.live.behind = self._behind
        self._builder = Builder(topology, self.catalog, self.live, self.roster, self._key, self.reports.append)
        self._decided = 0
        tasks = [task for task in self._builder.tasks() if not task.name.startswith(LEARN)]
        units = [(task, n) for task in tasks for n in range(topology.partitions if task.scope == "partition" else 1)]
        self._sessions = [_Session(self, task, n, committed.get((task.name, n))) for task, n in units]
        rested = {name: offsets for (name, _), offsets in committed.items() if name.startswith(LEARN)}
        self._rested = {**self._rested, **rested}
        self._follow_control()
        self._staff()

    def _follow_control(self) -> bool:
        """Every process of a runtime folds the decisions in `control`; here there is one. Whether one changed
        anything."""
        control, reign = self.records("control"), self.roster.reign
        changed = False
        for record in control[self._decided :]:
            try:
                entry = self.catalog.codec("control").decode(record.value)
            except DecodeError:
                continue
            if entry["kind"] == "decision":
                changed = self.roster.apply(entry) or changed
        self._decided = len(control)
        if changed:
            self._staff()
        if self.roster.reign != reign:
            name, position = self.roster.reign
            try:
                self.live.promote(name, None if position is None else self.rebuild(name, position))
            except LookupError as error:
                self.reports.append(f"{self.roster.reign} cannot serve: {error}")
        return changed

    def _staff(self) -> None:
        """A session for each model that learns, and none for one that rests."""
        wanted = {f"{LEARN}{name}": name for name in self.roster.learning()}
        learners = {s.task.name: s for s in self._sessions if s.task.name.startswith(LEARN)}
        for task in learners.keys() - wanted.keys():
            self._rested[task] = learners[task].committed
            self._sessions.remove(learners[task])
            if (name := task.removeprefix(LEARN)) != self.live.champion and name not in self.live.in_use():
                self.live.forget(name)
        for task, name in wanted.items():
            if task not in learners:
                self._sessions.append(_Session(self, self._builder.learner(name), 0, self._rested.pop(task, None)))
        # Whatever is first with its examples, `govern` hears of all models in one order.
        order = {task: place for place, task in enumerate(("score", "match", *wanted, "detect", "govern"))}
        self._sessions.sort(key=lambda session: (order[session.task.name], session.unit))

    def rebuild(self, name: str, position: int) -> Fold:
        """A model of the roster at `position`, folded anew from the log.

        Raises:
            LookupError: the log holds fewer examples.
        """
        values = [record.value or b"" for record in self.records("examples")]
        lineage = self.roster.lineages[name]
        return Replay(lineage, self.topology.target, self.catalog.examples, values).at(position)

    def _examine(self) -> bool:
        """What the process of a learner does when `govern` asks for it; whether anything was answered."""
        answered = False
        for name in list(self.roster.asked):
            found = self._examined(self.roster.lineages[name])
            if found is not None:
                self.produce("control", answer_of(name, found, "driver", self.clock()))
                answered = True
        return answered

    def _examined(self, lineage: Lineage) -> Examination | StreammlError | None:
        """None while the model has no snapshot."""
        models, decode = self.records("models"), self.catalog.codec("models").decode
        shelf = Shelf(decode, self._key)
        for record in models:
            shelf.take(record)
        try:
            found = pair(shelf, lineage, self.roster.lineages, 0, 4 * self.topology.snapshots.every)
            if found is None:
                return None
            older, newer = (
                None if start.header is None else assemble((models[at] for at in start.chunks), decode, self._key)
                for start in found
            )
            assert newer is not None
            examples = self.records("examples")[found[0].offset : found[1].offset]
            rows = (self.catalog.examples.learnable(record.value) for record in examples)
            return examined(self.topology, lineage, older, newer, rows, perf_counter)
        except StreammlError as error:
            return error

    def _behind(self, name: str) -> int:
        examples = self.logs.end(TopicPartition(self.topology.topic("examples"), 0))
        return max(0, examples - self.live.position(name)) + self.live.held_back(name)
