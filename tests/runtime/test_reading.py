"""Topics read from outside: whole, committed, in order."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from support.kafka import create_topics, produce

from streamml.errors import BrokerError
from streamml.records import LogRecord
from streamml.runtime.connection import Connection
from streamml.runtime.reading import read_topic, read_topics, tail_topics

pytestmark = pytest.mark.kafka


async def transaction(bootstrap: str, topic: str, values: list[bytes], commit: bool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topic}-writer")
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def test_what_was_aborted_is_not_read_and_markers_do_not_hold_the_reader(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})
    await transaction(kafka, app_name, [b"a", b"b"], commit=True)
    await transaction(kafka, app_name, [b"lost"], commit=False)
    await transaction(kafka, app_name, [b"c"], commit=True)
    await transaction(kafka, app_name, [b"lost too"], commit=False)
    records = await read_topic(Connection(kafka), app_name)
    assert [record.value for record in records] == [b"a", b"b", b"c"]


async def test_records_come_whole_and_by_partition(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 3, f"{app_name}-empty": 2})
    placed = produce(kafka, app_name, [(b"%d" % n, b"v%d" % n, 1_000 + n) for n in range(3_000)], headers=[("h", b"x")])
    found = await read_topics(Connection(kafka), [app_name, f"{app_name}-empty"])
    assert found[f"{app_name}-empty"] == []
    expected = [
        LogRecord(app_name, partition, offset, 1_000 + n, b"%d" % n, b"v%d" % n, (("h", b"x"),))
        for n, (partition, offset) in enumerate(placed)
    ]
    assert found[app_name] == sorted(expected, key=lambda record: (record.partition, record.offset))


async def test_a_tail_goes_on_with_what_comes_later(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 2})
    produce(kafka, app_name, [(b"1", b"old")], partition=1)
    seen: list[bytes | None] = []
    async with asyncio.timeout(30):
        async for records in tail_topics(Connection(kafka), [app_name]):
            seen += [record.value for record in records]
            if seen == [b"old"] and records:
                await asyncio.to_thread(produce, kafka, app_name, [(b"2", b"new")], partition=0)
            if len(seen) == 2:
                break
    assert seen == [b"old", b"new"]


async def test_a_topic_that_does_not_exist_is_named(kafka: str) -> None:
    with pytest.raises(BrokerError, match="topic no-such-topic cannot be read at"):
        await read_topic(Connection(kafka), "no-such-topic")


async def test_a_broker_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(BrokerError, match="no Kafka broker answers at"):
        await read_topic(Connection("127.0.0.1:9"), "any")
