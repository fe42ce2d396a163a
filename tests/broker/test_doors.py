"""A door of the embedded Kafka: whoever comes in by a proxy stays behind it, since that address is what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from support.kafka import create_topics, produce, read_all

from streamml.broker import Broker
from streamml.errors import BrokerError

pytestmark = pytest.mark.kafka

HOST = "127.0.0.1"


class Forwarder:
    """What comes in at a port goes to another one, and back; `connections` counts who came."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.to = 0
        self.connections = 0
        self._listener = listener

    @contextmanager
    def running(self) -> Iterator[None]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, sock=self._listener), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._close(server), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(HOST, self.to)
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


@pytest.fixture
def proxy() -> Iterator[Forwarder]:
    forwarder = Forwarder(socket.create_server((HOST, 0)))
    with forwarder.running():
        yield forwarder


def addresses(bootstrap: str) -> set[str]:
    """Where the broker tells a client to find it."""
    told = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=30).brokers
    return {f"{broker.host}:{broker.port}" for broker in told.values()}


def test_clients_of_a_door_are_told_the_proxy_and_others_the_broker(
    kafka: str, tmp_path: Path, proxy: Forwarder
) -> None:
    doors = {"WORKERS": proxy.port}
    broker = Broker(tmp_path, port=0, tied=True, doors=doors)
    with pytest.raises(BrokerError, match="has no door WORKERS"):
        broker.door("WORKERS")
    try:
        bootstrap, through = broker.up(), f"{HOST}:{proxy.port}"
        proxy.to = broker.door("WORKERS")
        assert addresses(through) == {through}
        assert addresses(bootstrap) == {bootstrap}
        create_topics(through, {"t": 1})
        came = proxy.connections
        produce(through, "t", [(b"k", b"v")])
        assert proxy.connections > came
        assert [message.value() for message in read_all(bootstrap, "t")] == [b"v"]

        assert Broker(tmp_path, port=0, doors=doors).up() == bootstrap, "the one that runs has this door"
        assert Broker(tmp_path).door("WORKERS") == proxy.to
        for other, there in [
            ({"WORKERS": 9}, f"tells clients port {proxy.port} at door WORKERS"),
            ({"X": 9}, "has no"),
        ]:
            with pytest.raises(BrokerError, match=there):
                Broker(tmp_path, port=0, doors=other).up()

        broker.kill()
        assert broker.up() == bootstrap
        assert broker.door("WORKERS") == proxy.to, "the proxy leads there still"
        assert [message.value() for message in read_all(through, "t")] == [b"v"]

        broker.kill()
        Broker(tmp_path, port=0, tied=True).up()
        with pytest.raises(BrokerError, match="has no door WORKERS"):
            broker.door("WORKERS")
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("doors", "line"),
    [
        ({"PLAINTEXT": 9}, "'PLAINTEXT' cannot name a door"),
        ({"CONTROLLER": 9}, "'CONTROLLER' cannot name a door"),
        ({"a,b": 9}, "'a,b' cannot name a door: use capital letters"),
        ({"WORKERS": 0}, "door WORKERS: port 0 does not exist"),
    ],
)
def test_what_cannot_be_a_door_is_said_at_once(tmp_path: Path, doors: dict[str, int], line: str) -> None:
    with pytest.raises(BrokerError, match=line):
        Broker(tmp_path, doors=doors)
