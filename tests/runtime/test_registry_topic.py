"""The schema store in Kafka itself, on a real broker."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from confluent_kafka.admin import AdminClient
from support.kafka import produce, read_all
from support.processes import eventually

from streamml.errors import IncompatibleSchema, RegistryError, SchemaError
from streamml.runtime.connection import Connection
from streamml.runtime.registry_topic import TopicRegistry

pytestmark = pytest.mark.kafka


def order(*fields: str) -> dict[str, Any]:
    """A schema whose fields have defaults: any two of them are compatible."""
    return {
        "type": "record",
        "name": "Order",
        "fields": [{"name": f, "type": "double", "default": 0.0} for f in fields],
    }


STRICT = {"type": "record", "name": "Order", "fields": [{"name": "price", "type": "string"}]}


async def test_versions_survive_the_process_that_wrote_them(kafka: str, app_name: str) -> None:
    subject = f"{app_name}.events-value"
    store = TopicRegistry(app_name, Connection(kafka))
    await store.load()
    assert await store.plan(subject, order("price")) == "new"
    first = await store.register(subject, order("price"))
    second = await store.register(subject, order("price", "tax"))
    assert await store.register(subject, order("price")) == first
    await store.close()

    other = TopicRegistry(app_name, Connection(kafka))
    await other.load()
    assert [(version, id) for version, id, _ in other.registry.versions(subject)] == [(1, first), (2, second)]
    assert await other.register(subject, order("price", "tax")) == second
    await other.close()


async def test_an_incompatible_version_is_refused_before_a_byte_is_written(kafka: str, app_name: str) -> None:
    subject = f"{app_name}.events-value"
    store = TopicRegistry(app_name, Connection(kafka))
    await store.register(subject, order("price"))
    for attempt in (store.plan, store.register):
        with pytest.raises(IncompatibleSchema, match="price"):
            await attempt(subject, STRICT)
    await store.close()
    assert len(read_all(kafka, f"{app_name}.schemas")) == 1


async def test_of_two_appliers_at_once_each_is_checked_against_the_other(kafka: str, app_name: str) -> None:
    subject = f"{app_name}.events-value"
    stores = [TopicRegistry(app_name, Connection(kafka)) for _ in range(3)]
    schemas = [order("price"), order("price", "a"), STRICT]
    results = await asyncio.gather(
        *(store.register(subject, schema) for store, schema in zip(stores, schemas, strict=True)),
        return_exceptions=True,
    )
    for store in stores:
        await store.close()
    refused = [result for result in results if isinstance(result, IncompatibleSchema)]
    accepted = {result for result in results if isinstance(result, int)}
    # Whoever came first decides whether prices are strings; both kinds never stand side by side.
    assert len(refused) in (1, 2)
    assert len(refused) + len(accepted) == 3

    fresh = TopicRegistry(app_name, Connection(kafka))
    await fresh.load()
    versions = fresh.registry.versions(subject)
    assert {id for _, id, _ in versions} == accepted
    assert [version for version, _, _ in versions] == list(range(1, len(versions) + 1))


async def test_an_id_first_seen_in_data_is_found_at_the_tail(kafka: str, app_name: str) -> None:
    reader, writer = (TopicRegistry(app_name, Connection(kafka)) for _ in range(2))
    await reader.load()
    schema_id = await writer.register(f"{app_name}.events-value", order("price"))
    with pytest.raises(SchemaError):
        reader.registry.schema(schema_id)
    await reader.resolve({schema_id, 5})
    assert reader.registry.schema(schema_id)["name"] == "Order"
    with pytest.raises(SchemaError):
        reader.registry.schema(5)
    await writer.close()
    await reader.close()


async def test_stray_ids_are_read_for_once_and_a_version_of_another_topic_is_none(kafka: str, app_name: str) -> None:
    reads = 0

    class Counting(TopicRegistry):
        async def _read(self) -> None:
            nonlocal reads
            reads += 1
            await super()._read()

    subject, other = f"{app_name}.events-value", f"{app_name}.feedback-value"
    writer, reader = TopicRegistry(app_name, Connection(kafka)), Counting(app_name, Connection(kafka))
    foreign = await writer.register(other, STRICT)
    for _ in range(3):
        await asyncio.gather(*(reader.resolve({foreign, 5}, subject) for _ in range(4)))
    assert reads == 1
    assert not reader.registry.belongs(foreign, subject)
    schema_id = await writer.register(subject, order("price"))
    await reader.resolve({foreign, schema_id}, subject)
    await reader.resolve({schema_id}, subject)
    assert reads == 2
    assert reader.registry.belongs(schema_id, subject)
    await writer.close()
    await reader.close()


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(kafka: str, app_name: str) -> None:
    subject = f"{app_name}.events-value"
    writer, reader = (TopicRegistry(app_name, Connection(kafka)) for _ in range(2))
    for fields in (["a"], ["a", "b"], ["a", "b", "c"]):
        await writer.register(subject, order(*fields))
    await writer.close()
    await reader.load()
    admin = AdminClient({"bootstrap.servers": kafka})
    topic = f"{app_name}.schemas"
    admin.delete_topics([topic])[topic].result(30)
    await asyncio.to_thread(eventually, lambda: topic not in admin.list_topics(timeout=10).topics)
    writer = TopicRegistry(app_name, Connection(kafka))
    schema_id = await writer.register(f"{app_name}.feedback-value", STRICT)
    await writer.close()
    await reader.resolve({schema_id}, f"{app_name}.feedback-value")
    assert reader.registry.belongs(schema_id, f"{app_name}.feedback-value")


@pytest.mark.parametrize("value", [b"not json", b"[]", b'{"subject": "s", "version": "1", "id": 7, "schema": {}}'])
async def test_what_is_no_schema_record_is_named_by_its_place(kafka: str, app_name: str, value: bytes) -> None:
    store = TopicRegistry(app_name, Connection(kafka))
    await store.register(f"{app_name}.events-value", order("price"))
    await store.close()
    produce(kafka, f"{app_name}.schemas", [(b"key", value)])
    with pytest.raises(RegistryError, match=rf"{app_name}\.schemas/0@\d+ is not a schema record"):
        await TopicRegistry(app_name, Connection(kafka)).load()


async def test_anyone_can_read_the_topic_as_json(kafka: str, app_name: str) -> None:
    store = TopicRegistry(app_name, Connection(kafka))
    schema_id = await store.register(f"{app_name}.events-value", order("price"))
    await store.close()
    (record,) = read_all(kafka, f"{app_name}.schemas")
    assert record.key() == f"{app_name}.events-value/1".encode()
    entry = orjson.loads(record.value() or b"")
    assert (entry["id"], entry["version"], entry["schema"]["name"]) == (schema_id, 1, "Order")
