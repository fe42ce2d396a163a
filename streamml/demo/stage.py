"""What a demo runs on: a broker, and the topology applied to it. Law: what is not the user's is gone with the demo.

Without a broker of others one is started in the demo's own folder. On a broker of others the topology gets a name of
its own, so that nothing there is touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from streamml.broker import Broker
from streamml.demo.display import Display
from streamml.engine.catalog import Catalog
from streamml.errors import StreammlError
from streamml.runtime.applying import carry_out, open_store, plan
from streamml.runtime.connection import Connection, wait_for_broker
from streamml.topology import Topology


@dataclass(frozen=True)
class Options:
    """What `streamml demo` takes; see `run`."""

    topology: str = "electricity"
    events: int | None = None
    delay: int = 48
    rate: float = 0.0
    json: bool = False
    bootstrap: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry: str | None = field(default=None, repr=False)
    rebuild: int = 20


async def connect(options: Options, folder: Path, stack: ExitStack, display: Display) -> Connection:
    """The given broker, or one of the demo's own, which ends with it."""
    if options.bootstrap is not None:
        connection = Connection.from_options(options.bootstrap, options.properties)
        await wait_for_broker(connection, 10.0)
        return connection
    display.say("starting Kafka")
    broker = Broker(folder / "broker", 0, tied=True)
    stack.callback(broker.down, 10.0)
    return Connection(await asyncio.to_thread(broker.up, _Fetching(display)))


class _Fetching:
    """Tells every few MB how far the one download of Kafka is."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        if done - self._told >= 10_000_000 or (self._told == 0 and done):
            self._told = done
            self._display.say(f"fetching Kafka: {done / 1e6:.0f} of {total / 1e6:.0f} MB, once for this user")


def declare(options: Options, folder: Path, topology: Topology) -> tuple[str, Topology]:
    """What `streamml run` is given, and the topology that it then declares."""
    if options.bootstrap is None:
        return options.topology, topology
    name = f"{topology.name}-{datetime.now():%m%d-%H%M}-{uuid4().hex[:4]}"
    declared = folder / "topology" / f"{topology.name}.py"
    declared.parent.mkdir()
    declared.write_text(
        '"""A shipped topology under a name of its own, for one demo."""\n\n'
        "from dataclasses import replace\n\nfrom streamml import load_topology\n\n"
        f"topology = replace(load_topology({options.topology!r}), name={name!r})\n"
    )
    return str(declared), replace(topology, name=name)


async def apply(options: Options, topology: Topology, connection: Connection) -> Catalog:
    """Create the topics and register the schemas. Raises StreammlError if that is refused."""
    store = open_store(topology.name, connection, options.registry)
    try:
        found = await plan(topology, connection, store)
        if found.refusals:
            raise StreammlError(found.refusals[0])
        return Catalog(topology, store.registry, await carry_out(topology, connection, store))
    finally:
        await store.close()


def reach(options: Options, folder: Path, connection: Connection) -> list[str]:
    """The options with which the worker finds the same cluster."""
    found = ["--bootstrap", connection.bootstrap]
    if options.properties:
        # In a file that only this user may read: a command line is for all to see.
        file = folder / "client.properties"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in options.properties.items()))
        found += ["--properties", str(file)]
    return [*found, *(["--registry", options.registry] if options.registry else [])]
