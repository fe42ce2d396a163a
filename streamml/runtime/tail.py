"""Looking at a topic from outside. Law: what is shown is committed, and decoded with the schema of its writer.

A reader joins no group and commits nothing: looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, Literal, Protocol, TypeAlias

import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from streamml.errors import BrokerError, DecodeError, SchemaError
from streamml.records import Record, TopicPartition
from streamml.runtime.admin import require_topics
from streamml.runtime.clients import Consumer, end_client, log_reader, theirs
from streamml.runtime.connection import Connection, unreachable
from streamml.runtime.registry import schema_ids
from streamml.runtime.restore import Progress, Span, bounds, read_spans
from streamml.schemas import Codec, Registry, schema_id_of

Start: TypeAlias = Literal["beginning", "end"] | int
"""Where to begin in every partition; a number is an offset, or if negative, counts back from the end."""

Take: TypeAlias = Callable[[Sequence[Record]], Awaitable[bool]]
"""Takes the next records; whether it wants more."""


class Schemas(Protocol):
    """The part of a `SchemaStore` that a decoder needs."""

    registry: Registry

    async def resolve(self, ids: Set[int]) -> None: ...


class Decoder:
    """Decodes framed Avro of whatever version, and JSON; looks schemas up in `store` when it meets a new id."""

    def __init__(self, store: Schemas) -> None:
        self._store = store
        self._codecs: dict[int, Codec] = {}

    async def meet(self, values: Sequence[bytes | None]) -> None:
        """Make the schemas of `values` known, as far as the store has them."""
        new = schema_ids(values) - self._codecs.keys()
        if new:
            await self._store.resolve(new)

    def avro(self, value: bytes) -> dict[str, Any]:
        """Raises DecodeError."""
        schema_id = schema_id_of(value)
        codec = self._codecs.get(schema_id)
        if codec is None:
            try:
                codec = self._codecs[schema_id] = Codec(self._store.registry.schema(schema_id), schema_id)
            except SchemaError as error:
                raise DecodeError("schema_id", str(error)) from error
        return codec.decode(value)

    @staticmethod
    def json(value: bytes) -> Any:
        """Raises DecodeError."""
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise DecodeError("json", f"not JSON at character {error.pos}: {error.msg}") from error


async def tail(connection: Connection, topic: str, start: Start, follow: bool, take: Take) -> None:
    """Give the committed records of `topic` to `take` until it has enough, or (not `follow`) until the end as of now.

    Raises BrokerError: no such topic, or no broker answers.
    """
    reader = log_reader(connection, "streamml-tail")
    try:
        partitions = await partitions_of(connection, topic)
        await reader.start()
        spans = {tp: Span(_first(held, start), held.end) for tp, held in (await bounds(reader, partitions)).items()}
        if follow:
            await _follow(reader, spans, take)
        else:
            await _until_end(connection, spans, take)
    except KafkaConnectionError as error:
        raise unreachable(connection, error) from error
    except KafkaError as error:
        raise BrokerError(f"{topic} cannot be read ({error!r}): check the permissions of this user") from error
    finally:
        await end_client(reader)


async def partitions_of(connection: Connection, topic: str) -> list[TopicPartition]:
    """Asked for by the administrative client: a consumer that asks may have the broker create the topic."""
    await require_topics(connection, [topic])
    admin = AIOKafkaAdminClient(**connection.client(), client_id="streamml-tail")
    try:
        await admin.start()
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return sorted(TopicPartition(topic, part["partition"]) for part in described["partitions"])


def _first(held: Span, start: Start) -> int:
    if start == "beginning":
        return held.start
    if start == "end":
        return held.end
    return min(max(start if start >= 0 else held.end + start, held.start), held.end)


async def _follow(reader: Consumer, spans: Mapping[TopicPartition, Span], take: Take) -> None:
    reader.assign(theirs(spans))
    for tp, span in spans.items():
        reader.seek(*theirs([tp]), span.start)
    wanted = True
    while wanted:
        for records in (await reader.getmany(timeout_ms=1_000, max_records=1_000)).values():
            wanted = wanted and await take(records)


class _Enough(Exception):
    """Ends the reading of a span early."""


async def _until_end(connection: Connection, spans: Mapping[TopicPartition, Span], take: Take) -> None:
    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for tp in sorted(batch):
            if not await take(batch[tp]):
                raise _Enough

    try:
        await read_spans(connection, "streamml-tail", spans, feed, Progress())
    except _Enough:
        return
