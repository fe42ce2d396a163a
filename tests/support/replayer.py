"""A replay that kills itself: `python -m support.replayer TOPOLOGY BOOTSTRAP POINT NUMBER`, at the NUMBERth POINT."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from streamml import Topology
from streamml.engine.catalog import Catalog
from streamml.records import Record
from streamml.runtime.connection import Connection
from streamml.runtime.quarantine import Outcome, Refused, Replay, read_refused
from streamml.runtime.registry_topic import TopicRegistry
from streamml.runtime.tail import Decoder
from streamml.topology import load_topology


async def replay_all(topology: Topology, bootstrap: str, fault: object = None) -> Outcome:
    """Re-enter all that is in the quarantine; `fault` is called at each point between two steps."""
    connection = Connection(bootstrap)
    store = TopicRegistry(topology.name, connection)
    decoder = Decoder(store)
    found: list[Refused] = []

    async def take(refused: Refused, record: Record) -> None:
        found.append(refused)

    await read_refused(connection, topology.topic("quarantine"), decoder, take)
    control = Catalog.in_memory(topology).codec("control")
    options = {"fault": fault} if callable(fault) else {}
    try:
        return await Replay(connection, topology, decoder, control, "a test", lambda: 1, **options).run(found)
    finally:
        await store.close()


def main() -> None:
    file, bootstrap, point, number = sys.argv[1:]
    left = int(number)

    def fault(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(replay_all(load_topology(file), bootstrap, fault))


if __name__ == "__main__":
    main()
