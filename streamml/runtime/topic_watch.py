"""Are a worker's topics still there? Law: a topic that is deleted under a worker ends it, with one line that names it.

aiokafka goes on in silence: it waits for a topic that is gone, and reads one that was made anew from where it stood in
the old one, past records that nobody has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streamml.errors import BrokerError
from streamml.runtime.connection import Connection
from streamml.runtime.topic_ids import topic_ids

log = logging.getLogger(__name__)

EVERY_S = 1.0


class TopicWatch:
    """Looks at the topics every `every` seconds: `start`, then `check` every second, then `stop`."""

    def __init__(self, connection: Connection, names: Iterable[str], every: float = EVERY_S) -> None:
        self._connection = connection
        self._names = sorted(names)
        self._every = every
        self._ids: dict[str, bytes] = {}
        self._missing: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look; the topics as they are first seen are the ones that must stay."""
        self._task = asyncio.create_task(self._run(), name="topics")

    async def settled(self) -> None:
        """Nothing waits for it."""

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def check(self) -> None:
        """Raise `BrokerError` if a topic was deleted, or deleted and made anew."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    def compare(self, found: Mapping[str, bytes | None]) -> None:
        """Take in what was seen. Raises as `check` does; a topic counts as deleted when it is missing twice running,
        since a broker that has just started may know of it a moment later."""
        missing = {name for name, id in found.items() if id is None}
        if gone := sorted(missing & self._missing):
            raise BrokerError(
                f"topic {gone[0]} was deleted while this worker ran, and what was in it is gone: "
                "make it again with `streamml apply`, and start again"
            )
        self._missing = missing
        for name, id in sorted(found.items()):
            if id is not None and self._ids.setdefault(name, id) != id:
                raise BrokerError(
                    f"topic {name} was deleted and made anew while this worker ran, and what was in it is gone: "
                    "start again to work with the new one"
                )

    async def _run(self) -> None:
        client = AIOKafkaAdminClient(
            **self._connection.client(), client_id="streamml-topics", request_timeout_ms=10_000
        )
        started = False
        try:
            while True:
                try:
                    if not started:
                        await client.start()
                        started = True
                    self.compare(await topic_ids(client, self._names))
                except (TimeoutError, KafkaError) as error:
                    log.debug("the topics cannot be looked at now: %r", error)
                await asyncio.sleep(self._every)
        finally:
            await client.close()
