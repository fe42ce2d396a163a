"""Figures of an agent that a thread is at work on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from runtime.planes import Echo

from streamml.agents.agent import Reading
from streamml.engine.task import Task
from streamml.records import Batch, LogRecord, Writes
from streamml.runtime.clients import Tuning
from streamml.runtime.connection import Connection
from streamml.runtime.context import Context
from streamml.runtime.pace import Gathering
from streamml.runtime.stepper import Stepper


class Held(Echo):
    """Counts its records; each step lasts until it is let go."""

    def __init__(self, unit: int) -> None:
        super().__init__(unit)
        self.count = 0
        self.begun, self.go = threading.Event(), threading.Event()

    def step(self, batch: Batch, now: int) -> Writes:
        self.begun.set()
        self.go.wait(30)
        self.count += sum(len(records) for records in batch.values())
        return {}

    def observe(self) -> Iterable[Reading]:
        yield Reading("count", (), self.count)


async def test_who_looked_while_a_thread_was_at_work_sees_what_it_has_done() -> None:
    agent = Held(0)
    task = Task("held", ("in",), (), "partition", lambda unit: agent)
    connection, topics = Connection("127.0.0.1:9"), {"in": "app.in"}
    context = Context("app", task, connection, lambda: 0, topics, {}, Tuning(), None, None, Gathering(20, 500))
    stepper = Stepper(context, 0)
    await stepper.build()
    record = LogRecord("app.in", 0, 0, 0, None, None)
    step = asyncio.ensure_future(stepper.step({"in": [record]}, 1, {}))
    await asyncio.to_thread(agent.begun.wait, 30)
    assert [reading.value for reading in stepper.observe()] == []
    agent.go.set()
    await step
    agent.begun.clear()
    agent.go.clear()
    # The next call is under way already when they are looked at again.
    step = asyncio.ensure_future(stepper.step({"in": [record] * 1_000}, 1_000, {}))
    await asyncio.to_thread(agent.begun.wait, 30)
    assert [reading.value for reading in stepper.observe()] == [1]
    agent.go.set()
    await step
    assert [reading.value for reading in stepper.observe()] == [1_001]
