"""A step that is not ready for its records waits with them: nothing is lost, and nobody else waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from runtime.planes import ECHO, QUICK, Echo, make_topics, plane, running, until, values
from support.kafka import produce

from streamml.agents.live import NotReady
from streamml.engine.task import Task
from streamml.records import Batch, Writes

pytestmark = pytest.mark.kafka


class Waiting:
    """Echo, which is ready from time to time; `asked` counts the steps that it was not ready for."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = 0
        self.waiting = 0

    async def ready(self) -> None:
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1

    def task(self) -> Task:
        gate = self

        class Gated(Echo):
            def step(self, batch: Batch, now: int) -> Writes:
                if batch and not gate.open.is_set():
                    gate.asked += 1
                    raise NotReady("not yet", gate.ready)
                return super().step(batch, now)

        return replace(ECHO, build=Gated)


async def test_a_step_that_is_not_ready_waits_and_nothing_is_lost(
    kafka: str, app_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamml.runtime.life._POLL_S", 0.05)  # It polls meanwhile, and that brings nothing.
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    gate = Waiting()
    echo = plane(kafka, app_name, gate.task(), replace(QUICK, max_records=10))

    def done(count: int) -> bool:
        return echo.counters.records_in == count

    async with running(echo):
        sent = [b"%d" % number for number in range(60)]
        for part in (sent[:20], sent[20:40], sent[40:]):
            produce(kafka, f"{app_name}.in", [(b"k", value) for value in part])
            await until(lambda: gate.waiting, echo)
            assert echo.ready
            gate.open.set()
            await until(partial(done, int(part[-1]) + 1), echo)
            gate.open.clear()
        assert await values(kafka, f"{app_name}.out", 60) == sent
        assert (gate.asked, echo.counters.sessions_lost, echo.counters.rebalances) == (3, 0, 1)


async def test_a_step_that_is_not_ready_holds_up_neither_a_rebalance_nor_the_end(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 2, "out": 1})
    gate = Waiting()
    blocked, other = plane(kafka, app_name, gate.task()), plane(kafka, app_name)
    async with running(blocked):
        for partition in (0, 1):
            produce(kafka, f"{app_name}.in", [(b"k", b"%d" % partition)], partition=partition)
        await until(lambda: gate.waiting == 2, blocked)
        async with asyncio.timeout(10), running(other):
            await until(lambda: other.counters.writes_out == 1 and gate.waiting == 1, blocked, other)
            gate.open.set()
            await until(lambda: blocked.counters.writes_out == 1, blocked, other)
            gate.open.clear()
            [unit] = blocked.sessions
            produce(kafka, f"{app_name}.in", [(b"k", b"2")], partition=unit)
            await until(lambda: gate.waiting == 1, blocked, other)
            await asyncio.wait_for(blocked.stop(), 2.0)
            assert gate.waiting == 0
            await until(lambda: other.counters.writes_out == 2, other)
    assert sorted(v or b"" for v in await values(kafka, f"{app_name}.out", 3)) == [b"0", b"1", b"2"]
