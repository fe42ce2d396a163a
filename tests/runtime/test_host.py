"""Faust as the host, on a real broker: what it starts, what it sees, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from support.kafka import create_topics, produce
from support.tiny import tiny
from support.toy_planes import ToyPlane, sources_of

from streamml.errors import BrokerError, DecodeError
from streamml.runtime.connection import Connection
from streamml.runtime.faust_app import App, Feed, WebServer, follow, read_history
from streamml.runtime.host import Host, PlaneService
from streamml.runtime.monitoring import Sources
from streamml.runtime.web import add_routes, free_port

pytestmark = pytest.mark.kafka


def decode(value: bytes) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", orjson.loads(value))
    except orjson.JSONDecodeError as error:
        raise DecodeError("json", "this is no JSON") from error


async def until(condition: Callable[[], bool], patience: float = 30.0) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - a test watches the program from outside, there is no event to await
            await asyncio.sleep(0.02)


class Running:
    """A host at work in this loop."""

    def __init__(self, host: Host, url: str) -> None:
        self.host = host
        self.url = url
        self.life = asyncio.ensure_future(host.run())

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def hosting(bootstrap: str, folder: Path, sources: Sources, feeds: list[Feed]) -> AsyncIterator[Running]:
    connection, group, port = Connection(bootstrap), f"test.host.{uuid4().hex}", free_port("127.0.0.1", 0)
    await read_history(connection, group, feeds)
    app = App(group, connection, "127.0.0.1", port, folder)
    for feed in feeds:
        follow(app, feed)
    host = Host(app, PlaneService(sources, lambda line: host.fail(line)))
    add_routes(cast(WebServer, app.web).web_app.router, sources, lambda: host.failure)
    running = Running(host, f"http://127.0.0.1:{port}")
    try:
        yield running
    finally:
        if not running.life.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running.life, 30)


@pytest.fixture
def control(kafka: str, app_name: str) -> str:
    """A topic of low rate."""
    topic = f"{app_name}.control"
    create_topics(kafka, {topic: 1})
    return topic


async def test_score_is_started_last_and_a_signal_ends_everything_well(
    kafka: str, control: str, tmp_path: Path
) -> None:
    score, learn = ToyPlane("score"), ToyPlane("learn:lr")
    order: list[str] = []
    for plane in (score, learn):
        plane.log = cast(Any, _Log(order, plane.task.name))
    sources = sources_of(tiny("shop"), score, learn)
    async with hosting(kafka, tmp_path, sources, [Feed(control, decode, lambda record: None)]) as running:
        await until(lambda: score.ready)
        await until(lambda: not sources.missing())
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(running.life, 30) == 0
    assert order == ["learn:lr start", "score start", *sorted(["learn:lr stop", "score stop"])]


class _Log:
    def __init__(self, order: list[str], name: str) -> None:
        self._order = order
        self._name = name

    def append(self, what: str) -> None:
        self._order.append(f"{self._name} {what}")


async def test_score_waits_for_the_learner_of_this_process_and_the_web_answers_meanwhile(
    kafka: str, control: str, tmp_path: Path
) -> None:
    score, learn = ToyPlane("score"), ToyPlane("learn:lr")
    learn.settle()
    learn.sessions[0].state, learn.settle = "restoring", lambda: None  # type: ignore[method-assign]  # it takes its time
    learn.ready = False
    sources = sources_of(tiny("shop"), score, learn)
    async with hosting(kafka, tmp_path, sources, [Feed(control, decode, lambda record: None)]) as running:
        await until(lambda: bool(learn.log))
        await until(lambda: running.host.app.web is not None and not running.life.done())
        status, body = await _answer(running, "/ready")
        assert status == 503
        assert "learn:lr: unit 0 is restoring" in body["missing"]
        assert score.log == []
        learn.sessions[0].state, learn.ready = "running", True
        await until(lambda: score.ready)
        assert (await running.get("/ready"))[0] == 200


async def _answer(running: Running, path: str) -> tuple[int, Any]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await running.get(path)
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_a_plane_that_fails_ends_the_process_with_one_line(
    kafka: str, control: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plane = ToyPlane("match")
    sources = sources_of(tiny("shop"), plane)
    async with hosting(kafka, tmp_path, sources, [Feed(control, decode, lambda record: None)]) as running:
        await until(lambda: plane.ready)
        with caplog.at_level(logging.ERROR):
            plane.broken = BrokerError("match unit 3 at shop.features/3 offset 9: the broker refuses")
            assert await asyncio.wait_for(running.life, 30) == 1
    ours = [record for record in caplog.records if record.name.startswith("streamml")]
    assert [record.getMessage() for record in ours] == ["match unit 3 at shop.features/3 offset 9: the broker refuses"]
    assert plane.log == ["start", "stop"]


async def test_history_comes_before_the_start_and_what_follows_after_it_once(
    kafka: str, control: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    produce(kafka, control, [(None, b'{"n": 0}'), (None, b'{"n": 1}')])
    seen: list[int] = []

    async def take(record: dict[str, Any]) -> None:
        seen.append(record["n"])

    feeds = [Feed(control, decode, take)]
    async with hosting(kafka, tmp_path, sources_of(tiny("shop")), feeds):
        assert seen == [0, 1]
        await _abort(kafka, control, b'{"n": 99}')
        produce(kafka, control, [(None, b"junk"), (b"key", None), (None, b'{"n": 2}')])
        await until(lambda: len(seen) >= 3)
    # Neither twice nor what was aborted; what cannot be read is skipped with a line.
    assert seen == [0, 1, 2]
    skipped = [message for message in caplog.messages if message.startswith(f"{control}[0]@")]
    assert len(skipped) == 2
    assert all("skipped: this is no JSON" in message for message in skipped)


async def test_a_long_topic_is_read_near_its_end_only(kafka: str, control: str) -> None:
    produce(kafka, control, [(None, b'{"n": %d}' % number) for number in range(50)])
    seen: list[int] = []
    await read_history(Connection(kafka), f"test.host.{uuid4().hex}", [Feed(control, decode, _appending(seen), back=5)])
    assert seen == [45, 46, 47, 48, 49]


def _appending(seen: list[int]) -> Callable[[dict[str, Any]], Awaitable[None] | None]:
    def take(record: dict[str, Any]) -> None:
        seen.append(record["n"])

    return take


async def _abort(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"t-{uuid4().hex}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, value)
    await producer.abort_transaction()
    await producer.stop()
