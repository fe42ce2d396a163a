"""One unit of a task at work: its agent, its producer, its offsets. Law: what is not committed did not happen.

The life of a session: opening (fence the former owner, read the offsets, build, restore, replay), running, suspended by a
rebalance, lost and opened again, closed. Whatever fails between two commits, producer and agent are thrown away together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from aiokafka.errors import IllegalStateError, ProducerFenced

from streamml.agents.agent import Agent, Reading
from streamml.errors import BrokerError, StreammlError
from streamml.records import Batch, Role, TopicPartition, Writes
from streamml.runtime.clients import FATAL, LOST, set_fetch, theirs, unread
from streamml.runtime.context import Context
from streamml.runtime.inbox import Inbox
from streamml.runtime.opening import open_unit
from streamml.runtime.outbox import Outbox
from streamml.runtime.restore import Progress
from streamml.runtime.stepper import Stepper

log = logging.getLogger(__name__)

T = TypeVar("T")

_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 3.0


class SessionState(StrEnum):
    """Where a session stands."""

    OPENING = "opening"
    RESTORING = "restoring"
    RUNNING = "running"
    SUSPENDED = "suspended"
    LOST = "lost"
    CLOSED = "closed"
    FAILED = "failed"


class Session:
    """The loop of one unit: fetched records -> step -> one transaction of writes, changelog and offsets.

    Made by `Plane` only, which calls `suspend`, `resume` and `close` when the group's assignment changes.
    """

    def __init__(
        self,
        context: Context,
        unit: int,
        inputs: Mapping[TopicPartition, Role],
        after: asyncio.Task[None] | None = None,
    ) -> None:
        self.unit = unit
        self.inputs = inputs
        self.progress = Progress()
        self._context = context
        self._asked = dict(zip(inputs, theirs(inputs), strict=True))
        self._inbox = Inbox(inputs, context.task.inputs)
        self._state = SessionState.OPENING
        self._outbox: Outbox | None = None
        self._stepper: Stepper | None = None
        self._next: dict[TopicPartition, int] = {}
        self._uncommitted: dict[Any, int] = {}
        self._stepped_at = self._committed_at = 0.0
        self._tries = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self._rest = asyncio.Event()
        self._rest.set()
        self._cuttable = self._cut = self._stopping = self._finish = False
        self._task = asyncio.create_task(self._run(after), name=f"{context.group}/{unit}")

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return SessionState.RESTORING if self._state is SessionState.OPENING and self.progress.total else self._state

    @property
    def agent(self) -> Agent | None:
        """The agent at work, or None while there is none. A thread may be at work on it: see `observe`."""
        return self._stepper.agent if self._stepper is not None else None

    @property
    def task(self) -> asyncio.Task[None]:
        """The session's own task; it ends when the session is closed or has failed."""
        return self._task

    def observe(self) -> list[Reading]:
        """The agent's figures, as of its last completed call."""
        return self._stepper.observe() if self._stepper is not None else []

    def lag(self) -> dict[TopicPartition, int]:
        """Offsets up to the last stable one that are not stepped yet, by partition; a partition is absent while unknown."""
        left = {tp: unread(self._context.consumer, tp) for tp in self.inputs}
        return {tp: count + self._inbox.waiting(tp) for tp, count in left.items() if count is not None}

    def suspend(self) -> None:
        """A rebalance begins: stop at the next moment at which no transaction is open."""
        self._gate.clear()
        if self._cuttable and self._state is not SessionState.OPENING:
            self._interrupt()

    async def settled(self) -> None:
        """Return once no transaction is open and nothing that was stepped is left to commit."""
        await self._rest.wait()

    def resume(self) -> None:
        """The rebalance left the unit here: go on with the same producer and state. If another had it, we are fenced."""
        self._gate.set()

    async def close(self, finish: bool = False) -> None:
        """End the session; with `finish`, commit first what was put off."""
        self._stopping, self._finish = True, finish
        if self._cuttable:
            self._interrupt()
        await asyncio.wait({self._task})

    def _interrupt(self) -> None:
        if not self._cut:
            self._cut = True
            self._task.cancel()

    async def _wait(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Await something that may be cut short, by a suspension or by the session's end."""
        self._cuttable = True
        try:
            return await waiting
        finally:
            self._cuttable = False

    async def _run(self, after: asyncio.Task[None] | None) -> None:
        try:
            while not self._stopping:
                try:
                    if after is not None:
                        await self._wait(_ended(after))
                        after = None
                    await self._live()
                except asyncio.CancelledError:
                    if not self._cut:
                        raise
                    self._cut = False
                    self._task.uncancel()
                except FATAL:
                    raise
                except LOST as error:
                    await self._lose(error)
            if self._finish and self._uncommitted:
                with suppress(*LOST):
                    await self._commit({})
            self._state = SessionState.CLOSED
        except StreammlError:
            raise
        except FATAL as error:
            raise self._refused(error) from error
        except Exception as error:
            raise self._broken(error) from error
        finally:
            if self._state is not SessionState.CLOSED:
                self._state = SessionState.FAILED
            await self._drop()

    async def _live(self) -> None:
        while not self._stopping:
            if not self._gate.is_set():
                if self._uncommitted:
                    await self._commit({})
                self._state = SessionState.SUSPENDED
                self._rest.set()
                await self._wait(self._gate.wait())
            elif self._outbox is None:
                await self._open()
            else:
                await self._work()

    async def _open(self) -> None:
        self._state = SessionState.OPENING
        context = self._context
        changelog = context.task.changelog
        own = self.unit if context.task.scope == "partition" else 0
        self._outbox = Outbox(
            context.connection,
            context.transactional_id(self.unit),
            context.group,
            {
                role: topic
                for role, topic in context.topics.items()
                if role not in context.task.inputs or role in context.task.outputs
            },
            (changelog, own) if changelog is not None else None,
            self.unit,
            context.tuning,
            context.fault,
        )
        self._stepper = Stepper(context, self.unit)
        try:
            self._next = await self._wait(
                open_unit(context, self.unit, self.inputs, self._outbox, self._stepper, self.progress)
            )
        except asyncio.CancelledError:
            await self._drop()
            raise
        self._uncommitted = {}
        context.counters.sessions_opened += 1

    async def _work(self) -> None:
        """Step and commit until a suspension or the end."""
        consumer, interval = self._context.consumer, self._context.tuning.commit_interval_s
        assert self._stepper is not None
        assert self._outbox is not None
        self._inbox.clear()
        for tp, asked in self._asked.items():
            consumer.seek(asked, self._next[tp])  # Also after a rebalance that gave the unit back.
        consumer.resume(*self._asked.values())
        self._state = SessionState.RUNNING
        self._rest.clear()
        self._stepped_at = self._committed_at = time.monotonic()
        while self._gate.is_set() and not self._stopping:
            if not self._inbox.size:
                await self._fetch()
            if self._inbox.size:
                await self._advance(*self._inbox.take(self._stepper.limit))
            elif time.monotonic() - self._stepped_at >= interval:
                await self._advance({}, {})  # Timers must run although nothing comes.
            if self._outbox.worn:
                if self._uncommitted:
                    await self._commit({})
                await self._drop()
                return

    async def _fetch(self) -> None:
        context = self._context
        due = self._stepped_at + context.tuning.commit_interval_s - time.monotonic()
        fetched = await self._wait(context.consumer.getmany(*self._asked.values(), timeout_ms=max(1, int(due * 1_000))))
        set_fetch(context.consumer, *context.gathering.saw(self._inbox.put(fetched), time.monotonic()))

    async def _advance(self, batch: Batch, offsets: Mapping[Any, int]) -> None:
        assert self._stepper is not None
        count = sum(len(records) for records in batch.values())
        writes = await self._stepper.step(batch, count)
        if self._context.fault is not None:
            self._context.fault("stepped")
        self._context.counters.records_in += count
        self._next.update(offsets)
        self._uncommitted.update((self._asked[tp], offset) for tp, offset in offsets.items())
        self._stepped_at = time.monotonic()
        if any(writes.values()) or self._stepped_at - self._committed_at >= self._context.tuning.commit_interval_s:
            await self._commit(writes)
        else:
            await asyncio.sleep(0)

    async def _commit(self, writes: Writes) -> None:
        """Commit what was stepped since the last commit, if there is anything."""
        assert self._stepper is not None
        assert self._outbox is not None
        changes = await self._stepper.checkpoint()
        if self._uncommitted or any(writes.values()) or any(changes.values()):
            counters, started = self._context.counters, time.perf_counter()
            written = await self._outbox.commit((writes, changes), self._uncommitted)
            counters.writes_out += written
            counters.transactions += 1
            counters.transaction_seconds += time.perf_counter() - started
            self._uncommitted = {}
            self._tries = 0
        self._committed_at = time.monotonic()

    async def _lose(self, error: BaseException) -> None:
        """Throw away producer and agent, and wait a little before the next opening."""
        self._state = SessionState.LOST
        context = self._context
        context.counters.sessions_lost += 1
        log.warning("%s unit %d: session lost, opening it again: %r", context.group, self.unit, error)
        await self._drop()
        pause = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2**self._tries)
        if isinstance(error, ProducerFenced | AssertionError):
            # Perhaps the group has given the unit to another: its answer comes with a heartbeat, so as not to fence the owner.
            pause = max(pause, context.tuning.heartbeat_interval_ms / 1_000 + _BACKOFF_S)
        self._tries += 1
        try:
            await self._wait(asyncio.sleep(pause))
        except asyncio.CancelledError:
            if not self._cut:
                raise
            self._cut = False
            self._task.uncancel()

    async def _drop(self) -> None:
        outbox, self._outbox, self._stepper = self._outbox, None, None
        self._uncommitted = {}
        self._inbox.clear()
        with suppress(IllegalStateError):
            self._context.consumer.pause(*self._asked.values())
        if outbox is not None:
            await outbox.stop()
        self._rest.set()

    def _refused(self, error: BaseException) -> BrokerError:
        return BrokerError(
            f"{self._where()}: the broker refuses ({type(error).__name__}: {error}); nothing of it was committed: "
            "correct the topic's limits or the permissions, and start again"
        )

    def _broken(self, error: Exception) -> StreammlError:
        log.error("%s: unexpected", self._where(), exc_info=error)
        return StreammlError(
            f"{self._where()} failed ({type(error).__name__}: {error}); nothing of it was committed: this is a defect, "
            "see the log above"
        )

    def _where(self) -> str:
        at = ", ".join(f"{tp.topic}/{tp.partition} offset {offset}" for tp, offset in sorted(self._next.items()))
        return f"{self._context.group} unit {self.unit} at {at or 'its opening'}"


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})
