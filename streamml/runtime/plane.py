"""One task on Kafka: a consumer group and the sessions of its units. Law: a plane that cannot go on says so.

aiokafka only logs what fails in its background tasks and in rebalance callbacks: `check` is to be called every second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaConnectionError

from streamml.engine.task import Task
from streamml.errors import BrokerError, StreammlError
from streamml.records import Batch, Role, TopicPartition
from streamml.runtime.admin import require_topics
from streamml.runtime.assign import UnitAssignor
from streamml.runtime.clients import FATAL, LOST, Tuning, end_client, group_consumer, raise_if_ended, theirs
from streamml.runtime.connection import Connection, unreachable
from streamml.runtime.context import Clock, Context, Counters, Locks
from streamml.runtime.outbox import Fault
from streamml.runtime.pace import Gathering
from streamml.runtime.session import Session, SessionState

log = logging.getLogger(__name__)

_SETTLE_S = 20.0
_TUNING = Tuning()


class Plane:
    """Runs `task` over its topics: `start`, then `check` every second, then `stop`.

    `clock` gives ms since the epoch, `topic_of` the topic of a role; `locks` is shared by all planes of the process.
    `fault` is called at every point between two steps of the protocol: `fenced`, `restored`, then `stepped`, `begun`,
    `sent`, `offsets`, `committed` of each transaction. `prepare` is awaited with every batch before it is stepped,
    where
    something outside must be asked first; a `RegistryError` of it loses the session, which is opened again.
    """

    def __init__(
        self,
        app: str,
        task: Task,
        connection: Connection,
        clock: Clock,
        topic_of: Callable[[Role], str],
        locks: Locks,
        tuning: Tuning = _TUNING,
        fault: Fault | None = None,
        prepare: Callable[[Batch], Awaitable[None]] | None = None,
    ) -> None:
        roles = dict.fromkeys((*task.inputs, *task.outputs, *((task.changelog,) if task.changelog else ())))
        self._context = Context(
            app,
            task,
            connection,
            clock,
            {role: topic_of(role) for role in roles},
            locks,
            tuning,
            fault,
            None,
            Gathering(task.hold_ms, tuning.idle_wait_ms),
            prepare,
        )
        self._roles = {self._context.topics[role]: role for role in task.inputs}
        self._sessions: dict[int, Session] = {}
        self._closing: dict[int, asyncio.Task[None]] = {}
        self._joined = self._stopping = False

    @property
    def task(self) -> Task:
        """The task that runs here."""
        return self._context.task

    @property
    def group(self) -> str:
        """The consumer group's name."""
        return self._context.group

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The sessions of the units that this process has now, by unit."""
        return MappingProxyType(self._sessions)

    @property
    def counters(self) -> Counters:
        """What was done since the start."""
        return self._context.counters

    @property
    def ready(self) -> bool:
        """Whether the group was joined and every unit given to this process is at work; it may have been given none."""
        return self._joined and all(s.state is SessionState.RUNNING for s in self._sessions.values())

    def lag(self) -> dict[TopicPartition, int]:
        """Offsets not stepped yet, by input partition of the units at work here."""
        return {tp: count for session in self._sessions.values() for tp, count in session.lag().items()}

    async def start(self) -> None:
        """Join the group; returns when units were assigned (their sessions are still opening).

        Raises `BrokerError` when no broker answers, a topic is missing, or the broker refuses.
        """
        context = self._context
        consumer = group_consumer(context.connection, context.group, UnitAssignor(context.task.scope), context.tuning)
        context.consumer = consumer
        try:
            await require_topics(context.connection, context.topics.values())
            consumer.subscribe(list(self._roles), listener=_Listener(self))
            await consumer.start()
        except KafkaConnectionError as error:
            await end_client(consumer)
            raise unreachable(context.connection, error) from error
        except FATAL as error:
            await end_client(consumer)
            raise self._refused(error) from error
        except BaseException:
            await end_client(consumer)
            raise

    async def stop(self, timeout: float = 10.0) -> None:
        """Commit what was put off, leave the group, end; what takes longer than `timeout` s is cut off, uncommitted."""
        if self._stopping:
            return
        self._stopping = True
        closing = [asyncio.ensure_future(s.close(finish=True)) for s in self._sessions.values()]
        if pending := {*closing, *self._closing.values()}:
            _, late = await asyncio.wait(pending, timeout=timeout)
            if late:
                log.warning("%s: %d sessions did not end within %g s and are cut off", self.group, len(late), timeout)
            for session in self._sessions.values():
                session.task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        if self._context.consumer is not None:
            await end_client(self._context.consumer)

    def check(self) -> None:
        """Raise the `StreammlError` that ended a session, or a `BrokerError` if the group's work cannot go on."""
        if self._stopping or self._context.consumer is None:
            return
        for session in self._sessions.values():
            if session.task.done():
                if session.task.cancelled():
                    raise StreammlError(f"{self.group} unit {session.unit}: the session was cancelled: start again")
                session.task.result()
                raise StreammlError(f"{self.group} unit {session.unit}: the session has ended: start again")
        try:
            raise_if_ended(self._context.consumer)
        except FATAL as error:
            raise self._refused(error) from error
        except LOST as error:
            log.warning("%s: %r; going on", self.group, error)

    async def revoked(self) -> None:
        """A rebalance begins; the group waits for this until its rebalance timeout. Heartbeats go on."""
        if self._stopping:
            return
        self._context.counters.rebalances += 1
        for session in self._sessions.values():
            session.suspend()
        waiting = [asyncio.ensure_future(session.settled()) for session in self._sessions.values()]
        if waiting:
            _, busy = await asyncio.wait(waiting, timeout=_SETTLE_S)
            for late in busy:
                late.cancel()
            if busy:
                log.warning("%s: %d units are still in a transaction; fencing will settle it", self.group, len(busy))

    def assigned(self, partitions: Iterable[Any]) -> None:
        """A rebalance has ended. No heartbeat is sent until this returns, so it only starts and stops tasks."""
        if self._stopping:
            return
        self._joined = True
        given = self._units(partitions)
        for unit in [unit for unit, session in self._sessions.items() if session.inputs != given.get(unit)]:
            gone = asyncio.ensure_future(self._sessions.pop(unit).close())
            self._closing[unit] = gone
            gone.add_done_callback(partial(self._forget, unit))
        for unit, inputs in given.items():
            if unit in self._sessions:
                self._sessions[unit].resume()
            else:
                # Until a session has read its offsets there is nothing to fetch.
                self._context.consumer.pause(*theirs(inputs))
                self._sessions[unit] = Session(self._context, unit, inputs, self._closing.get(unit))

    def _forget(self, unit: int, gone: asyncio.Future[None]) -> None:
        if self._closing.get(unit) is gone:
            del self._closing[unit]

    def _units(self, partitions: Iterable[Any]) -> dict[int, dict[TopicPartition, Role]]:
        whole = self._context.task.scope == "whole"
        units: dict[int, dict[TopicPartition, Role]] = {}
        for tp in sorted(TopicPartition(*partition) for partition in partitions):
            units.setdefault(0 if whole else tp.partition, {})[tp] = self._roles[tp.topic]
        return units

    def _refused(self, error: BaseException) -> BrokerError:
        return BrokerError(
            f"{self.group}: the broker refuses ({type(error).__name__}: {error}): "
            "check the permissions of this user and the group's settings"
        )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Tells a plane of rebalances; aiokafka insists on its own class. Exceptions raised here would only be logged."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await self._plane.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._plane.assigned(assigned)
