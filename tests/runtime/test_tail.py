"""Looking at a topic: from where one likes, to its end or for ever, and only at what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from confluent_kafka import Producer
from support.kafka import create_topics
from support.kafka import produce as outside

from streamml.errors import BrokerError, DecodeError
from streamml.records import Record
from streamml.runtime.connection import Connection
from streamml.runtime.registry_topic import TopicRegistry
from streamml.runtime.tail import Decoder, Start, tail
from streamml.schemas import Codec, Registry

pytestmark = pytest.mark.kafka


async def look(
    kafka: str, topic: str, start: Start = "beginning", *, follow: bool = False, limit: int = 1_000
) -> list[bytes | None]:
    found: list[bytes | None] = []

    async def take(records: Sequence[Record]) -> bool:
        found.extend(record.value for record in records)
        return len(found) < limit

    async with asyncio.timeout(30):
        await tail(Connection(kafka), topic, start, follow, take)
    return found


async def test_from_where_one_likes(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})
    outside(kafka, app_name, [(b"k", b"%d" % i) for i in range(10)])
    assert await look(kafka, app_name) == [b"%d" % i for i in range(10)]
    assert await look(kafka, app_name, 7) == [b"7", b"8", b"9"]
    assert await look(kafka, app_name, -2) == [b"8", b"9"]
    assert await look(kafka, app_name, -99, limit=1) == [b"%d" % i for i in range(10)]
    assert await look(kafka, app_name, 99) == []
    assert await look(kafka, app_name, "end") == []


async def test_all_partitions_are_shown(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 4})
    outside(kafka, app_name, [(b"%d" % i, b"%d" % i) for i in range(50)])
    assert sorted(map(int, filter(None, await look(kafka, app_name)))) == list(range(50))


async def test_what_is_not_committed_is_not_shown_and_not_waited_for(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": app_name})
    producer.init_transactions()
    for value, end in (("committed", producer.commit_transaction), ("aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(app_name, value)
        producer.flush()
        end()
    producer.begin_transaction()
    producer.produce(app_name, "open")
    producer.flush()
    try:
        assert await look(kafka, app_name) == [b"committed"]
    finally:
        producer.abort_transaction()


async def test_following_shows_what_comes(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 2})
    outside(kafka, app_name, [(b"k", b"before")])
    task = asyncio.create_task(look(kafka, app_name, follow=True, limit=2))
    await asyncio.to_thread(outside, kafka, app_name, [(b"k", b"after")])
    assert await task == [b"before", b"after"]


async def test_no_such_topic_is_one_line(kafka: str, app_name: str) -> None:
    with pytest.raises(BrokerError, match=f"{app_name}.*streamml apply"):
        await look(kafka, app_name)


async def test_records_are_decoded_by_the_schema_of_their_writer(kafka: str, app_name: str) -> None:
    """Both versions as they were written, although only the newer one is declared now."""
    subject, versions = f"{app_name}.events-value", []
    store = TopicRegistry(app_name, Connection(kafka))
    try:
        for more in ([], [{"name": "b", "type": "string", "default": ""}]):
            fields = [{"name": "a", "type": "long"}, *more]
            schema = {"type": "record", "name": "E", "fields": fields}
            versions.append(Codec(schema, await store.register(subject, schema)))
    finally:
        await store.close()
    old, new = versions[0].encode({"a": 1}), versions[1].encode({"a": 2, "b": "x"})
    store = TopicRegistry(app_name, Connection(kafka), Registry())
    decoder = Decoder(store)
    await decoder.meet([old, None, b"no avro", new])
    assert [decoder.avro(value) for value in (old, new)] == [{"a": 1}, {"a": 2, "b": "x"}]
    with pytest.raises(DecodeError, match="schema id 7 is unknown"):
        decoder.avro(b"\x00\x00\x00\x00\x07rest")
    await store.close()
