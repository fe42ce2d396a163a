"""Faust's consumer on the worker's own loop. Law: whatever it is doing when it is told to stop, it ends.

Faust gives its consumer a thread with a loop of its own. One that is stopped while it starts is never told, and keeps
the process alive for good; one that is stopped in a rebalance closes its client from the other loop, and waits for an
answer that nobody will give. One that stops without a broker commits first, for good. All three were met.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from mode import Service
from mode.utils.futures import maybe_async

from streamml.runtime.clients import end_client
from streamml.runtime.connection import Connection

FAUST_LOG = logging.getLogger("faust.host")
"""Where Faust's services tell of their starts and stops: by itself it would take the name of the subclass's module."""


class HereConsumer(driver.AIOKafkaConsumerThread):
    """What Faust takes for its consumer's thread; all that would cross to it is called on the spot."""

    logger = FAUST_LOG
    wait_for_shutdown = False

    start = Service.start
    maybe_start = Service.maybe_start
    _stopped_set = Service._stopped_set
    _stop_children = Service._stop_children
    _stop_futures = Service._stop_futures
    _stop_exit_stacks = Service._stop_exit_stacks
    stop = Service.stop

    def __init__(self, consumer: Any, connection: Connection) -> None:
        self._connection = connection
        super().__init__(consumer, loop=consumer.loop, thread_loop=consumer.loop, beacon=consumer.beacon)

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        name = self.consumer.app.conf.id
        return AIOKafkaConsumer(
            group_id=name,
            client_id=name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=10_000,
            fetch_max_wait_ms=1_000,
            **self._connection.client(),
        )

    async def on_stop(self) -> None:
        """Leave the group and close the client."""
        if self._consumer is not None:
            await end_client(self._consumer)

    def close(self) -> None:
        """Nothing: what Faust calls in a rebalance while it stops, and `on_stop` does in its order."""

    def _get_tasks(self) -> tuple[()]:
        """No task that keeps a thread awake."""
        return ()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `fun` of the consumer."""
        return await maybe_async(fun(*args, **kwargs))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """A rebalance begins."""
        await self.consumer.on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """A rebalance ends."""
        await self.consumer.on_partitions_assigned(assigned, generation_id)


class Consumer(driver.Consumer):
    """Faust's consumer, of our own making and with the worker's way to log in."""

    logger = FAUST_LOG

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit, but for a group that is about to end: nobody would read it, and without a broker it never ends."""
        if self.app.should_stop:
            return False
        return bool(await super().commit(topics, start_new_transaction))

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """As `commit`; whoever waits there for another's commit comes here when it is cancelled."""
        if self.app.should_stop:
            return False
        return bool(await super().force_commit(topics, start_new_transaction))

    def _new_consumer_thread(self) -> HereConsumer:
        return HereConsumer(self, cast(Any, self.app).kafka)


class Transport(driver.Transport):
    """Faust's transport with this consumer."""

    Consumer = Consumer
