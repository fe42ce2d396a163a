"""Planes in the test's own event loop, and waiting for what they do. Law: conditions are awaited, never slept for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaTopicPartition
from support.kafka import read_all

from streamml.agents.agent import Offsets, Reading
from streamml.engine.task import Task
from streamml.records import BareRecord, Batch, Record, Write, Writes
from streamml.runtime.admin import TopicSpec, ensure_topics
from streamml.runtime.clients import Tuning
from streamml.runtime.connection import Connection
from streamml.runtime.plane import Plane

QUICK = Tuning(session_timeout_ms=1_500, heartbeat_interval_ms=300, commit_interval_s=0.2)


class Echo:
    """Writes every record of `in` to `out`; a test changes the part that it is about."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.steps: list[int] = []

    def restore(self, records: Sequence[Record]) -> None: ...

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        records = [record for role in batch for record in batch[role]]
        self.steps.append(len(records))
        return {"out": [self.write(record) for record in records]} if records else {}

    def write(self, record: BareRecord) -> Write:
        return record.key, record.value, record.timestamp, record.headers

    def checkpoint(self, now: int) -> Writes:
        return {}

    def observe(self) -> Iterable[Reading]:
        return ()


ECHO = Task("echo", ("in",), ("out",), "partition", Echo)


async def make_topics(bootstrap: str, app: str, **roles: int) -> None:
    await ensure_topics(Connection(bootstrap), [TopicSpec(f"{app}.{role}", count) for role, count in roles.items()])


def plane(bootstrap: str, app: str, task: Task = ECHO, tuning: Tuning = QUICK, **more: Any) -> Plane:
    more = {"locks": {}} | more
    return Plane(
        app,
        task,
        Connection(bootstrap),
        lambda: time.time_ns() // 1_000_000,
        lambda role: f"{app}.{role}",
        tuning=tuning,
        **more,
    )


@asynccontextmanager
async def running(*planes: Plane) -> AsyncIterator[None]:
    """Started and at work; stopped at the end."""
    try:
        for each in planes:
            await each.start()
        await until(lambda: all(each.ready for each in planes), *planes)
        yield
    finally:
        for each in planes:
            await each.stop()


async def until(condition: Callable[[], object], *planes: Plane, timeout: float = 30.0) -> None:
    """Wait for the condition; a plane that fails ends the wait with its error."""
    async with asyncio.timeout(timeout):
        while not condition():
            for each in planes:
                each.check()
            await asyncio.sleep(0.01)


async def values(bootstrap: str, topic: str, count: int, timeout: float = 30.0) -> list[bytes | None]:
    """The committed values of a topic, by partition and offset, once there are `count` of them or more.

    A commit is answered before its markers are written, so that readers see it a moment later.
    """
    async with asyncio.timeout(timeout):
        while True:
            found = [message.value() for message in await asyncio.to_thread(read_all, bootstrap, topic)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def committed(bootstrap: str, group: str, topic: str, wanted: int | None) -> bool:
    """Whether the group's committed offset of partition 0 is the wanted one, or gets there soon."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            while (offset := await consumer.committed(KafkaTopicPartition(topic, 0))) != wanted:
                assert wanted is not None, f"{topic} offset {offset} was committed"
                await asyncio.sleep(0.05)
    finally:
        await consumer.stop()
    return True
