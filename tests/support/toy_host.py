"""A worker process over toy planes: `python -m support.toy_host BOOTSTRAP TOPIC FOLDER SCENE`.

Each test has a process of its own, as a user has. What happens is printed, one word or JSON object a line; the scene
says what goes wrong.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import orjson

from streamml.errors import BrokerError, DecodeError
from streamml.runtime.connection import Connection
from streamml.runtime.faust_app import App, Feed, WebServer, follow, read_history
from streamml.runtime.host import Host, PlaneService
from streamml.runtime.logs import set_up_logs
from streamml.runtime.web import add_routes, free_port
from support.tiny import tiny
from support.toy_planes import ToyPlane, sources_of

_kept: list[socket.socket] = []


def decode(value: bytes) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", orjson.loads(value))
    except orjson.JSONDecodeError as error:
        raise DecodeError("json", "this is no JSON") from error


def say(**what: Any) -> None:
    """Print one object."""
    print(orjson.dumps(what).decode(), flush=True)


class Loud(list[str]):
    """A log that is also printed."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def append(self, what: str) -> None:
        super().append(what)
        say(plane=self._name, did=what)


class Slow(ToyPlane):
    """A learner that restores until SIGUSR1 comes."""

    async def start(self) -> None:
        self.log.append("start")
        self.sessions = self._units
        self.sessions[0].state = "restoring"

    def restored(self) -> None:
        self.sessions[0].state = "running"
        self.ready = True


def unanswered() -> str:
    """An address where connections are taken and nobody ever answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    _kept.append(listener)
    return f"{host}:{port}"


class Held(ToyPlane):
    """Fails once the host runs, and does not stop before somebody writes to the pipe `go`."""

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name)
        self._go = Path(folder) / "go"
        os.mkfifo(self._go)

    async def start(self) -> None:
        await super().start()
        self.broken = BrokerError("the broker refuses")

    async def stop(self) -> None:
        self.log.append("stopping")
        await asyncio.to_thread(self._go.read_bytes)
        await super().stop()


async def main(bootstrap: str, topic: str, folder: str, scene: str) -> int:
    learn = ToyPlane("learn:lr")
    if scene == "slow":
        learn = Slow("learn:lr")
    if scene == "held":
        learn = Held("learn:lr", folder)
    planes = [ToyPlane("score"), learn]
    for plane in planes:
        plane.log = Loud(plane.task.name)
    sources = sources_of(tiny("shop"), *planes)

    async def take(record: dict[str, Any]) -> None:
        say(record=record["n"])
        if record["n"] == "restored" and isinstance(learn, Slow):
            learn.restored()
        if record["n"] == "break":
            planes[0].broken = BrokerError("score unit 3 at shop.events/3 offset 9: the broker refuses")

    connection, group, port = Connection(bootstrap), f"test.host.{uuid4().hex}", free_port("127.0.0.1", 0)
    feed = Feed(topic, decode, take)
    await read_history(connection, group, [feed])
    say(history="read")
    if scene in ("deaf", "held"):
        connection = Connection(unanswered())
    app = App(group, connection, "127.0.0.1", port, Path(folder))
    follow(app, feed)
    host = Host(app, PlaneService(sources, lambda line: host.fail(line)))
    add_routes(cast(WebServer, app.web).web_app.router, sources, lambda: host.failure)
    say(port=port, pid=os.getpid())
    return await host.run()


if __name__ == "__main__":
    set_up_logs("WARNING", "text")
    sys.exit(asyncio.run(main(*sys.argv[1:])))
