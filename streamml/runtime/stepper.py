"""Calling an agent. Law: one call at a time, never two on one model, and a slow one never holds the event loop.

A call that is predicted to be slow runs in a thread; heartbeats and the other units go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from streamml.agents.agent import Agent, Local, Offsets, Reading
from streamml.errors import StateLost, StoreError, StreammlError
from streamml.records import Batch, Record, TopicPartition, Writes
from streamml.runtime.context import Context
from streamml.runtime.pace import Pace, Spells
from streamml.runtime.restore import Span

log = logging.getLogger(__name__)

T = TypeVar("T")


class Stepper:
    """One agent from its building to its end. When the agent raises, every method raises one `StreammlError`."""

    def __init__(self, context: Context, unit: int) -> None:
        self._context = context
        self._unit = unit
        self._agent: Agent | None = None
        self._steps = Pace(context.tuning.max_records)
        self._restores = Pace(context.tuning.max_records * 5)
        self._spells = Spells()
        self._busy = self._looked = False
        self._readings: list[Reading] = []

    @property
    def agent(self) -> Agent | None:
        """The agent, once it is built; a thread may be at work on it, so read its figures with `observe`."""
        return self._agent

    @property
    def local(self) -> Local | None:
        """What the agent keeps on disk, see `Local`."""
        return getattr(self._agent, "local", None)

    @property
    def limit(self) -> int:
        """How many records the next step should have at most."""
        return self._steps.limit()

    async def build(self) -> None:
        task = self._context.task
        self._agent = await self._call(True, "build", "", lambda: task.build(self._unit))

    async def restore(self, records: Sequence[Record]) -> None:
        """Feed changelog records, in slices short enough for the event loop."""
        agent, pace, at = self._built(), self._restores, 0
        while at < len(records):
            piece = records[at : at + pace.limit()]
            started = time.perf_counter()
            where = _place(TopicPartition(piece[0].topic, piece[0].partition), piece[0].offset, piece[-1].offset + 1)
            await self._call(pace.needs_thread(len(piece)), "restore", where, partial(agent.restore, piece))
            pace.took(len(piece), time.perf_counter() - started)
            at += len(piece)
            await asyncio.sleep(0)
        self._context.counters.restored += len(records)

    async def resume(self, committed: Offsets) -> Offsets:
        agent = self._built()
        return await self._call(True, "resume", "", lambda: agent.resume(committed))

    async def step(self, batch: Batch, count: int, spans: Mapping[TopicPartition, Span]) -> Writes:
        """Step the agent with `count` records, which were read from `spans`, at the time that the clock shows."""
        agent, now, counters = self._built(), self._context.clock(), self._context.counters
        threaded = self._steps.needs_thread(count) if count else self._spells.needs_thread()
        took = 0.0

        def timed() -> Writes:
            nonlocal took
            started = time.perf_counter()
            writes = agent.step(batch, now)
            took = time.perf_counter() - started
            return writes

        where = ", ".join(_place(tp, *span) for tp, span in spans.items())
        writes = await self._call(threaded, "step", where, timed)
        if count:
            self._steps.took(count, took)
        else:
            self._spells.took(took)
        counters.steps += 1
        counters.step_seconds += took
        return writes

    async def checkpoint(self) -> Writes:
        agent, now = self._built(), self._context.clock()
        started = time.perf_counter()
        writes = await self._call(self._spells.needs_thread(), "checkpoint", "", lambda: agent.checkpoint(now))
        self._spells.took(time.perf_counter() - started)
        return writes

    async def committed(self, offset: int | None) -> None:
        """The last checkpoint is committed; `offset`: where its last record stands in the changelog, if it had any."""
        if (local := self.local) is not None and offset is not None:
            await self._call(True, "commit", "", lambda: local.committed(offset))

    def close(self) -> None:
        """Let go of what the agent keeps on disk; no call is under way any more."""
        if (local := self.local) is not None:
            local.close()

    def observe(self) -> list[Reading]:
        """The agent's figures. While a thread is at work on it, those of before its call, or of the end of an earlier
        one: whoever looked in vain has them taken when it ends."""
        if self._busy:
            self._looked = True
        else:
            self._take_readings()
        return self._readings

    def _take_readings(self) -> None:
        self._looked = False
        if self._agent is not None:
            self._readings = list(self._agent.observe())

    def _built(self) -> Agent:
        assert self._agent is not None, "the agent is built when the session opens"
        return self._agent

    async def _call(self, threaded: bool, what: str, where: str, call: Callable[[], T]) -> T:
        locks = self._context.locks
        async with AsyncExitStack() as held:
            for name in self._context.task.uses():
                await held.enter_async_context(locks.setdefault(name, asyncio.Lock()))
            result = await self._run(threaded, what, where, call)
        if self._looked:
            try:
                self._take_readings()
            except Exception as error:
                raise self._died("observe", where, error) from error
        return result

    async def _run(self, threaded: bool, what: str, where: str, call: Callable[[], T]) -> T:
        self._busy = True
        try:
            if not threaded:
                return call()
            work = asyncio.get_running_loop().run_in_executor(None, call)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                # The thread cannot be stopped: the model's lock is held until it has ended.
                await asyncio.wait({work})
                raise
        except StateLost:
            raise
        except Exception as error:
            raise self._died(what, where, error) from error
        finally:
            self._busy = False

    def _died(self, what: str, where: str, error: Exception) -> StreammlError:
        name = f"{self._context.app} {self._context.task.name}, unit {self._unit}"
        if not isinstance(error, StreammlError):
            log.error("%s: the agent's %s raised", name, what, exc_info=error)
        if isinstance(error, StoreError):
            return StoreError(f"{name}: {error}")
        at = f" at {where}" if where else ""
        return StreammlError(
            f"{name}: {what}{at} failed ({type(error).__name__}: {error}); nothing of it was committed: "
            "correct the cause and start again"
        )


def _place(tp: TopicPartition, start: int, end: int) -> str:
    return f"{tp.topic}/{tp.partition} offsets {start} to {end - 1}"
