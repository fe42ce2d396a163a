"""One unit of a task at work in this process. Law: it is only ever cut short where no transaction is open.

A session is opening, running, suspended by a rebalance, lost and opened again after a pause; in the end closed or
failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from aiokafka.errors import ProducerFenced

from streamml.agents.agent import Agent, Reading
from streamml.errors import BrokerError, StateLost, StreammlError
from streamml.records import Role, TopicPartition
from streamml.runtime.clients import FATAL, LOST
from streamml.runtime.context import Context
from streamml.runtime.life import Life
from streamml.runtime.restore import Progress

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


class _CutShort(Exception):
    """A wait ended because the session was suspended or is to end."""


class Session:
    """Keeps one unit going through rebalances and losses, from its making to `close`.

    Made by `Plane` only, which calls `suspend`, `resume` and `close` when the group's assignment changes. `after` is
    the end of the former session of the same unit, to be waited for.
    """

    def __init__(
        self,
        context: Context,
        unit: int,
        inputs: Mapping[TopicPartition, Role],
        after: asyncio.Future[None] | None = None,
    ) -> None:
        self.unit = unit
        self.inputs = inputs
        self.progress = Progress()
        self._context = context
        self._state = SessionState.OPENING
        self._life: Life | None = None
        self._opened = False
        self._losses = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self._rest = asyncio.Event()
        self._rest.set()
        self._cuttable = self._cut = self._stopping = self._finish = False
        self._task = asyncio.create_task(self._run(after), name=f"{context.group}/{unit}")

    @property
    def state(self) -> SessionState:
        """Where the session stands; `progress` tells how far, while it is restoring."""
        restoring = self._state is SessionState.OPENING and self.progress.total > 0
        return SessionState.RESTORING if restoring else self._state

    @property
    def agent(self) -> Agent | None:
        """The agent, or None while there is none. A thread may be at work on it: read its figures by `observe`."""
        return self._life.agent if self._life is not None else None

    @property
    def task(self) -> asyncio.Task[None]:
        """The session's own task; it ends when the session is closed or has failed."""
        return self._task

    def observe(self) -> list[Reading]:
        """The agent's figures, as of its last completed call."""
        return self._life.observe() if self._life is not None else []

    def lag(self) -> dict[TopicPartition, int]:
        """Offsets not stepped yet, by partition; empty until the session is running."""
        return self._life.lag() if self._life is not None and self._opened else {}

    def suspend(self) -> None:
        """A rebalance begins: stop as soon as no transaction is open. An opening goes on, it commits nothing."""
        self._gate.clear()
        if self._state is not SessionState.OPENING:
            self._interrupt()

    async def settled(self) -> None:
        """Return once no transaction is open and nothing that was stepped is left to commit."""
        await self._rest.wait()

    def resume(self) -> None:
        """The rebalance left the unit here: go on as before. If another had it meanwhile, we are fenced."""
        self._gate.set()

    async def close(self, finish: bool = False) -> None:
        """End the session; with `finish`, commit first what was put off."""
        self._stopping, self._finish = True, finish
        self._interrupt()
        await asyncio.wait({self._task})
        if not self._task.cancelled() and (error := self._task.exception()):
            log.warning("%s", error)

    def _interrupt(self) -> None:
        if self._cuttable and not self._cut:
            self._cut = True
            self._task.cancel()

    async def _wait(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Await what may be cut short by `_interrupt`: then `_CutShort` is raised, or the result comes all the same."""
        self._cuttable = True
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._cut:
                raise _CutShort from None
            raise
        finally:
            self._cuttable = False
            if self._cut:
                self._cut = False
                self._task.uncancel()

    async def _run(self, after: asyncio.Future[None] | None) -> None:
        try:
            if after is not None:
                await asyncio.wait({after})
            loss: BaseException | None = None
            while not self._stopping:
                try:
                    if loss is not None:
                        error, loss = loss, None
                        await self._lose(error)
                    await self._live()
                except _CutShort:
                    continue
                except FATAL:
                    raise
                except LOST as error:
                    loss = error
            if self._finish and self._opened and self._life is not None:
                with suppress(*LOST):
                    await self._life.settle()
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
                if self._life is not None and self._opened:
                    await self._life.settle()
                self._state = SessionState.SUSPENDED
                self._rest.set()
                await self._wait(self._gate.wait())
            elif self._life is None or not self._opened:
                await self._open()
            else:
                await self._work(self._life)

    async def _open(self) -> None:
        await self._drop()  # An opening that was cut short has left something.
        self._state = SessionState.OPENING
        self._life = Life(self._context, self.unit, self.inputs, self.progress)
        await self._wait(self._life.open())
        self._opened = True

    async def _work(self, life: Life) -> None:
        """Step and commit until a suspension or the end."""
        life.read_on()
        self._state = SessionState.RUNNING
        self._rest.clear()
        while self._gate.is_set() and not self._stopping:
            await self._wait(life.fetch())
            await life.advance()
            if life.commits:
                self._losses = 0
            if life.worn:
                await life.settle()
                await self._drop()
                return

    async def _lose(self, error: BaseException) -> None:
        """Throw the life away, and wait a little before the next one: only the loss of a state is made good at once."""
        self._state = SessionState.LOST
        context = self._context
        context.counters.sessions_lost += 1
        log.warning("%s unit %d: session lost, opening it again: %r", context.group, self.unit, error)
        await self._drop()
        if isinstance(error, StateLost):
            return  # It lies in the agent, not in the broker, and has put away what it lost its state by.
        pause = min(_LONGEST_BACKOFF_S, _BACKOFF_S * 2**self._losses)
        if isinstance(error, ProducerFenced | AssertionError):
            # Perhaps the group gave the unit to another; word of it comes with a heartbeat. Do not fence them before.
            pause = max(pause, context.tuning.heartbeat_interval_ms / 1_000 + _BACKOFF_S)
        self._losses += 1
        await self._wait(asyncio.sleep(pause))

    async def _drop(self) -> None:
        life, self._life, self._opened = self._life, None, False
        if life is not None:
            await life.drop()
        self._rest.set()

    def _refused(self, error: BaseException) -> BrokerError:
        return BrokerError(
            f"{self._where()}: the broker refuses ({type(error).__name__}: {error}); nothing of it was committed: "
            "correct the topic's limits or the permissions, and start again"
        )

    def _broken(self, error: Exception) -> StreammlError:
        log.error("%s: unexpected", self._where(), exc_info=error)
        return StreammlError(
            f"{self._where()} failed ({type(error).__name__}: {error}); nothing of it was committed: "
            "this is a defect, its trace is in the log"
        )

    def _where(self) -> str:
        offsets = self._life.offsets if self._life is not None else {}
        at = ", ".join(f"{tp.topic}/{tp.partition} offset {offset}" for tp, offset in sorted(offsets.items()))
        return f"{self._context.group} unit {self.unit} at {at or 'its opening'}"
