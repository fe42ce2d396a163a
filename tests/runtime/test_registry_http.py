"""The client of a registry server, against a real one and against the ways in which one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import orjson
import pytest
from aiohttp import web
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streamml.errors import IncompatibleSchema, RegistryError, SchemaError
from streamml.runtime.registry import schema_ids
from streamml.runtime.registry_http import RegistryClient
from streamml.schemas import Codec

_apps = count(1)


def order(*fields: str, default: bool = False) -> dict[str, Any]:
    more = {"default": 0.0} if default else {}
    return {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "id", "type": "string"}, *({"name": f, "type": "double", **more} for f in fields)],
    }


@pytest.fixture
async def client(registry: str) -> AsyncIterator[RegistryClient]:
    client = RegistryClient(registry, f"shop{next(_apps)}")
    yield client
    await client.close()


@pytest.mark.registry
async def test_a_schema_gets_the_server_s_id_once(client: RegistryClient) -> None:
    subject = f"{client.app}.events-value"
    assert await client.plan(subject, order("price")) == "new"
    schema_id = await client.register(subject, order("price"))
    assert await client.register(subject, order("price")) == schema_id
    assert await client.plan(subject, order("price")) == "unchanged"
    version, known, schema = client.registry.latest(subject) or (0, 0, {})
    assert (version, known) == (1, schema_id)
    assert [field["name"] for field in schema["fields"]] == ["id", "price"]


@pytest.mark.registry
async def test_another_process_loads_every_version_of_its_own_application_only(
    client: RegistryClient, registry: str
) -> None:
    subject = f"{client.app}.events-value"
    first = await client.register(subject, order("price"))
    second = await client.register(subject, {**order("price", "tax", default=True)})
    await client.register(f"{client.app}x.events-value", order("weight"))
    other = RegistryClient(registry, client.app)
    try:
        await other.load()
        assert [(version, id) for version, id, _ in other.registry.versions(subject)] == [(1, first), (2, second)]
        assert other.registry.latest(f"{client.app}x.events-value") is None
    finally:
        await other.close()


@pytest.mark.registry
async def test_an_incompatible_version_is_refused_and_nothing_is_registered(client: RegistryClient) -> None:
    subject = f"{client.app}.events-value"
    await client.register(subject, order("price"))
    with pytest.raises(IncompatibleSchema, match=r"tax"):
        await client.register(subject, order("price", "tax"))
    with pytest.raises(IncompatibleSchema, match=r"tax"):
        await client.plan(subject, order("price", "tax"))
    fresh = RegistryClient(client.url, client.app)
    try:
        await fresh.load()
        assert len(fresh.registry.versions(subject)) == 1
    finally:
        await fresh.close()


@pytest.mark.registry
async def test_the_server_s_own_refusal_is_one_line(client: RegistryClient) -> None:
    subject = f"{client.app}.events-value"
    await client.register(subject, order("price"))
    body = {"schema": '{"type":"record","name":"Order","fields":[{"name":"other","type":"string"}]}'}
    with pytest.raises(IncompatibleSchema) as refused:
        await client._ask("POST", f"/subjects/{subject}/versions", body, subject=subject)
    assert subject in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.registry
async def test_an_id_first_seen_in_data_is_looked_up_and_a_stray_one_stays_unknown(
    client: RegistryClient, registry: str
) -> None:
    producer = RegistryClient(registry, "someone-else")
    try:
        schema_id = await producer.register("someone-else.events-value", order("price"))
    finally:
        await producer.close()
    value = Codec(order("price"), schema_id).encode({"id": "a", "price": 1.0})
    assert schema_ids([value, None, b"", b"\x01abcdef", b"\0ab"]) == {schema_id}
    with pytest.raises(SchemaError):
        client.registry.schema(schema_id)
    await client.resolve({schema_id, 999_999})
    assert client.registry.schema(schema_id)["name"] == "Order"
    with pytest.raises(SchemaError, match="999999"):
        client.registry.schema(999_999)


@pytest.mark.registry
async def test_an_id_is_looked_for_among_the_versions_of_its_own_subject(client: RegistryClient, registry: str) -> None:
    subject = f"{client.app}.events-value"
    first = await client.register(subject, order("price"))
    producer = RegistryClient(registry, client.app)
    try:
        foreign = await producer.register(f"not-{client.app}.events-value", order("colour"))
        second = await producer.register(subject, order("price", "tax", default=True))
    finally:
        await producer.close()
    await client.resolve({first, second, foreign, 999_999}, subject)
    assert [(version, id) for version, id, _ in client.registry.versions(subject)] == [(1, first), (2, second)]
    assert not client.registry.belongs(foreign, subject)


@pytest.mark.registry
async def test_confluent_s_own_client_reads_what_we_framed_and_we_read_its(
    client: RegistryClient, registry: str
) -> None:
    topic = f"{client.app}.events"
    schema_id = await client.register(f"{topic}-value", order("price"))
    context = SerializationContext(topic, MessageField.VALUE)
    codec = Codec(order("price"), schema_id)
    row = {"id": "a", "price": 2.5}
    with SchemaRegistryClient({"url": registry}) as theirs:
        assert AvroDeserializer(theirs)(codec.encode(row), context) == row
        conf = {"auto.register.schemas": False}
        serializer = AvroSerializer(theirs, orjson.dumps(order("price")).decode(), conf=conf)
        written = serializer(row, context)
    assert written is not None
    assert codec.decode(written) == row


async def test_credentials_are_sent_but_never_shown() -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error_code": 401, "message": "no"}, status=401)

    async with _Server(answer) as url:
        client = RegistryClient(url.replace("://", "://alice:s3cret@"), "shop")
        with pytest.raises(RegistryError, match="refuses the credentials") as refused:
            await client.load()
        await client.close()
    assert seen == ["Basic YWxpY2U6czNjcmV0"]
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(client)


@pytest.mark.parametrize(
    ("status", "text", "says"),
    [
        (404, "<html>nothing here</html>", "path of the registry's API"),
        (200, "<html>welcome</html>", "is this a schema registry"),
        (422, '{"error_code": 42201, "message": "Invalid Avro schema"}', "42201"),
    ],
)
async def test_what_is_no_registry_or_refuses_is_told_in_one_line(status: int, text: str, says: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    async with _Server(answer) as url:
        client = RegistryClient(url, "shop")
        with pytest.raises(RegistryError, match=says) as refused:
            await client.load()
        await client.close()
    assert "\n" not in str(refused.value)


async def test_a_server_that_is_busy_is_asked_again() -> None:
    calls = count(1)

    async def answer(request: web.Request) -> web.Response:
        return web.json_response([], status=503 if next(calls) == 1 else 200)

    async with _Server(answer) as url:
        client = RegistryClient(url, "shop")
        await client.load()
        await client.close()
    assert next(calls) == 3


async def test_no_server_is_one_line_with_the_next_action() -> None:
    client = RegistryClient("http://127.0.0.1:1", "shop")
    with pytest.raises(RegistryError, match=r"does not answer .* start it, or correct --registry"):
        await client.load()
    await client.close()


async def test_stray_ids_cost_a_request_once_however_many_units_meet_them() -> None:
    asked: list[str] = []
    held = {"1": {"id": 7, "schema": '"string"'}}

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path.removeprefix("/subjects/shop.events-value/versions"))
        return web.json_response(held[asked[-1][1:]] if asked[-1] else [int(version) for version in held])

    async with _Server(answer) as url:
        client = RegistryClient(url, "shop")
        for _ in range(3):
            await asyncio.gather(*(client.resolve({5, 7}, "shop.events-value") for _ in range(4)))
        assert asked == ["", "/1"]
        held["2"] = {"id": 8, "schema": '"long"'}
        await client.resolve({5, 8}, "shop.events-value")
        await client.close()
    assert asked == ["", "/1", "", "/2"]
    assert client.registry.belongs(8, "shop.events-value")


async def test_a_version_that_is_not_avro_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody outside may stop a worker: not with a record, nor with what they register for a topic."""
    held: dict[str, dict[str, Any]] = {
        "1": {"id": 7, "schemaType": "PROTOBUF", "schema": 'syntax = "proto3";'},
        "2": {"id": 8, "schema": "{"},
        "3": {"id": 9, "schema": '"long"'},
    }

    async def answer(request: web.Request) -> web.Response:
        version = request.path.removeprefix("/subjects/shop.events-value/versions")[1:]
        return web.json_response(held[version] if version else [1, 2, 3])

    async with _Server(answer) as url:
        client = RegistryClient(url, "shop")
        await client.resolve({7, 8, 9}, "shop.events-value")
        await client.resolve({10}, "shop.events-value")
        await client.close()
    assert [schema_id for _, schema_id, _ in client.registry.versions("shop.events-value")] == [9]
    assert [record.getMessage().partition(" at ")[0] for record in caplog.records] == [
        "version 1 of subject shop.events-value",
        "version 2 of subject shop.events-value",
    ]


@pytest.mark.parametrize(
    ("more", "says"), [({"schemaType": "PROTOBUF"}, "PROTOBUF, not Avro"), ({"references": [{}]}, "types inlined")]
)
async def test_what_we_cannot_read_is_named(more: dict[str, Any], says: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"schema": '"string"', **more})

    async with _Server(answer) as url:
        client = RegistryClient(url, "shop")
        with pytest.raises(RegistryError, match=rf"schema id 7 .*{says}"):
            await client.resolve({7})
        await client.close()


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://localhost", ""])
def test_a_url_that_is_none_is_refused_before_any_connection(url: str) -> None:
    with pytest.raises(RegistryError, match="http"):
        RegistryClient(url, "shop")


class _Server:
    """One handler for every path, on a free port."""

    def __init__(self, handler: Any) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:correct-horse@host:notaport",
        "http://ann:correct-horse@host:99999",
        "http://ann:correct-horse@[::1",
        "http://ann:correct/horse@host:8081",
        "http://ann:12/correct-horse@host:8081",
        "http://ann:12#correct-horse@host:8081",
        "http://ann:correct-horse@",
        "ann:correct-horse@host",
    ],
)
def test_a_torn_address_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(RegistryError, match=r"^--registry ") as caught:
        RegistryClient(url, "shop")
    assert "horse" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
