"""The topic `<app>.schemas` as the schema store, without a server. Law: one writer at a time, and it has read all.

Key `subject/version`, value JSON {subject, version, id, schema}; one partition, compacted. A writer opens the one
transactional id of this topic (KIP-98), which fences whoever wrote before; then it reads to the end; only then does it
decide and append. So of two appliers at once, the slower one is checked against what the faster one wrote.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Set
from random import uniform
from time import time
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streamml.errors import RegistryError
from streamml.runtime.admin import TopicSpec, ensure_topics, plan_topics
from streamml.runtime.clients import FATAL, LOST, Consumer, Tuning, end_client, log_reader
from streamml.runtime.connection import Connection
from streamml.runtime.outbox import Outbox
from streamml.runtime.registry import Change, Strays, change_of, unknown
from streamml.schemas import Registry

log = logging.getLogger(__name__)
TRIES = 12
UNKNOWN_FOR = 5.0
"""Seconds for which the topic is not read again for an id that it did not hold."""


class TopicRegistry:
    """The schema store in Kafka itself. Ids follow from a schema's canonical form: every process computes the same."""

    def __init__(self, app: str, connection: Connection, registry: Registry | None = None) -> None:
        self.registry = Registry() if registry is None else registry
        self.topic = f"{app}.schemas"
        self._app = app
        self._connection = connection
        self._next = 0
        self._strays = Strays(UNKNOWN_FOR)
        self._writer: Outbox | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        async with self._lock:
            await self._read()

    async def plan(self, subject: str, schema: Mapping[str, Any]) -> Change:
        await self.load()
        return change_of(self.registry, subject, schema)[0]

    async def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        async with self._lock:
            # What is registered already needs no writer: workers that start must not fence an applier.
            change, _, schema_id = change_of(self.registry, subject, schema)
            if change == "unchanged":
                return schema_id
            for attempt in range(TRIES):
                try:
                    return await self._append(subject, schema)
                except LOST as error:
                    log.debug("schemas: writer lost (%r), trying again", error)
                    await self._drop()
                    if attempt == TRIES - 1 or isinstance(error, FATAL):
                        raise RegistryError(
                            f"cannot write to topic {self.topic} ({type(error).__name__}); may this user write to it?"
                        ) from error
                    # Two appliers fence each other in turn until one is through: different pauses let one win.
                    await asyncio.sleep(uniform(0.05, 0.3) * (attempt + 1))
            raise AssertionError("unreachable")

    async def resolve(self, ids: Set[int], subject: str | None = None) -> None:
        async with self._lock:
            wanted = self._strays.without(unknown(self.registry, ids, subject), subject)
            if wanted:
                await self._read()
                self._strays.add(unknown(self.registry, wanted, subject), subject)

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _append(self, subject: str, schema: Mapping[str, Any]) -> int:
        if self._writer is None:
            await ensure_topics(self._connection, [self._spec])
            self._writer = Outbox(
                self._connection,
                transactional_id=f"{self._app}-schemas",
                group=self.topic,
                topics={"schemas": self.topic},
                changelog=None,
                unit=0,
                tuning=Tuning(),
                fault=lambda point: None,
            )
            await self._writer.start()
            await self._read()
        change, version, schema_id = change_of(self.registry, subject, schema)
        if change == "unchanged":
            return schema_id
        entry = {"subject": subject, "version": version, "id": schema_id, "schema": schema}
        write = (f"{subject}/{version}".encode(), orjson.dumps(entry), int(time() * 1000), ())
        await self._writer.commit([{"schemas": [write]}], {})
        self.registry.add(subject, version, schema_id, dict(schema))
        return schema_id

    async def _read(self) -> None:
        """Take in what was appended since the last time; a topic that is not there yet is empty."""
        try:
            if any(change.kind == "create" for change in await plan_topics(self._connection, [self._spec])):
                return
            consumer = log_reader(self._connection, f"{self._app}-schemas")
            try:
                await consumer.start()
                await self._read_with(consumer, TopicPartition(self.topic, 0))
            finally:
                await end_client(consumer)
        except KafkaError as error:
            raise RegistryError(
                f"cannot read topic {self.topic} ({type(error).__name__}); is the broker up, and may this user read it?"
            ) from error

    async def _read_with(self, consumer: Consumer, tp: TopicPartition) -> None:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        if end < self._next:
            self._next = 0  # The topic was made anew.
        consumer.seek(tp, self._next)
        # Not by counts: compaction and transaction markers leave gaps in the offsets.
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, ()):
                self._take(record.offset, record.value)
        self._next = max(self._next, await consumer.position(tp))

    def _take(self, offset: int, value: bytes | None) -> None:
        if value is None:
            return
        try:
            entry = orjson.loads(value)
            subject, version, schema_id, schema = (entry[k] for k in ("subject", "version", "id", "schema"))
            if [type(part) for part in (subject, version, schema_id, schema)] != [str, int, int, dict]:
                raise TypeError("a part of another type")
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise RegistryError(
                f"{self.topic}/0@{offset} is not a schema record; nothing else may write to this topic: "
                "delete it and run `streamml apply` again"
            ) from error
        self.registry.add(subject, version, schema_id, schema)

    @property
    def _spec(self) -> TopicSpec:
        return TopicSpec(self.topic, 1, {"cleanup.policy": "compact"})

    async def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop()
