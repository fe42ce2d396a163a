"""Producing as outside writers do: everything that is counted has arrived, in order, and not faster than asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from support.kafka import create_topics, read_all

from streamml.errors import BrokerError, StreammlError
from streamml.runtime.connection import Connection
from streamml.runtime.produce import Message, produce

pytestmark = pytest.mark.kafka


def messages(topic: str, count: int) -> Iterator[Message]:
    return (Message(topic, b"%d" % (i % 7), b"%d" % i, 1_000_000 + i, [("n", b"%d" % i)]) for i in range(count))


async def test_all_of_it_arrives_in_the_order_of_each_key(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 3})
    told: list[int] = []
    count = await produce(Connection(kafka), [app_name], messages(app_name, 3_000), sent=told.append)
    found = read_all(kafka, app_name)
    assert count == len(found) == told[-1] == 3_000
    assert told == sorted(told)
    for part in range(3):
        numbers = [int(m.value() or b"") for m in found if m.partition() == part]
        assert numbers == sorted(numbers)
    first = next(m for m in found if m.value() == b"5")
    assert (first.key(), first.timestamp()[1], first.headers()) == (b"5", 1_000_005, [("n", b"5")])


async def test_without_a_timestamp_it_is_now(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})
    before = int(time.time() * 1000)
    await produce(Connection(kafka), [app_name], [Message(app_name, b"k", None)])
    (found,) = read_all(kafka, app_name)
    assert before <= found.timestamp()[1] <= int(time.time() * 1000)
    assert (found.key(), found.value()) == (b"k", None)


@pytest.mark.parametrize(("rate", "count"), [(1_000.0, 400), (20.0, 9)])
async def test_the_rate_is_a_bound(kafka: str, app_name: str, rate: float, count: int) -> None:
    create_topics(kafka, {app_name: 1})
    drawn: list[float] = []

    def source() -> Iterator[Message]:
        for message in messages(app_name, count):
            drawn.append(time.monotonic())
            yield message

    await produce(Connection(kafka), [app_name], source(), rate=rate)
    assert len(drawn) == count
    for i, at in enumerate(drawn):
        assert at - drawn[0] >= i / rate - 0.03, "too early"


async def test_what_was_drawn_before_a_bad_row_is_delivered(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})

    def source() -> Iterator[Message]:
        yield from messages(app_name, 10)
        raise StreammlError("row 10 is bad")

    with pytest.raises(StreammlError, match="row 10 is bad"):
        await produce(Connection(kafka), [app_name], source())
    assert len(read_all(kafka, app_name)) == 10


async def test_what_was_drawn_before_a_cancellation_is_delivered(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})
    begun = asyncio.Event()
    task = asyncio.create_task(
        produce(Connection(kafka), [app_name], messages(app_name, 10_000), rate=100, sent=lambda n: begun.set())
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert read_all(kafka, app_name)


async def test_a_topic_that_is_not_there_is_one_line(kafka: str, app_name: str) -> None:
    with pytest.raises(BrokerError, match=f"{app_name}.*streamml apply"):
        await produce(Connection(kafka), [app_name], messages(app_name, 1))


async def test_a_record_that_is_too_large_is_one_line(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: (1, {"max.message.bytes": "1000"})})
    with pytest.raises(BrokerError, match=r"max\.message\.bytes"):
        await produce(Connection(kafka), [app_name], [Message(app_name, b"k", b"x" * 5_000)])
