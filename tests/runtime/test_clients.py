"""The ends of aiokafka's clients: whatever they meet on their way out is no cancellation of whoever ends them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from streamml.runtime.clients import end_client, log_reader
from streamml.runtime.connection import Connection

pytestmark = pytest.mark.kafka


async def reader(bootstrap: str) -> AIOKafkaConsumer:
    made = log_reader(Connection(bootstrap), "reader")
    await made.start()
    await made.topics()
    return made


async def crooked(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> AIOKafkaConsumer:
    """One that meets on its way out what it has cancelled itself."""
    client = await reader(bootstrap)

    async def stop() -> None:
        client._closed = True
        raise asyncio.CancelledError

    monkeypatch.setattr(client, "stop", stop)
    return client


def sockets(client: AIOKafkaConsumer) -> list[Any]:
    return list(client._client._conns.values())


async def stuck(client: AIOKafkaConsumer, cancelled: bool) -> None:
    """What `stop` may leave where a socket does not close in time: futures that nobody can await any more."""
    client._closed = True
    for socket in sockets(client):
        if cancelled:
            socket._closed_fut.cancel()
    await asyncio.Event().wait()


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_client_that_does_not_stop_in_time_is_closed(
    kafka: str, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    client = await reader(kafka)
    monkeypatch.setattr(client, "stop", lambda: stuck(client, cancelled))
    open_ = sockets(client)
    assert open_
    await end_client(client, 0.05)
    assert not any(socket.connected() for socket in open_)
    # Nothing of it is left that would connect again.
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left or not (await asyncio.wait(left, timeout=10))[1]


async def test_what_a_client_cancels_itself_is_no_cancellation_of_ours(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await crooked(kafka, monkeypatch)
    open_ = sockets(client)
    await end_client(client)
    assert not any(socket.connected() for socket in open_)


async def test_a_task_that_was_cancelled_before_cleans_up_to_the_end(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await crooked(kafka, monkeypatch)
    open_, said, begun = sockets(client), [], asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await end_client(client)
            said.append("all of it")

    task = asyncio.ensure_future(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == ["all of it"]
    assert not any(socket.connected() for socket in open_)


async def test_whoever_is_cancelled_while_a_client_stops_is_cancelled(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await reader(kafka)
    stop, begun = client.stop, asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(client, "stop", slow)
    ending = asyncio.ensure_future(end_client(client))
    await begun.wait()
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await stop()
