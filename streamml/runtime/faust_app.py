"""Faust on our terms. Law: every process reads every committed record of its low-rate topics, and produces nothing.

Faust itself reads uncommitted records unless it runs its own transactions, and knows fewer ways to log in than
aiokafka: so its transport is given a consumer of our own making.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.app.base import BootStrategy
from faust.web.drivers.aiohttp import Web

from streamml.errors import BrokerError, DecodeError
from streamml.runtime.clients import FATAL, refusal
from streamml.runtime.connection import Connection
from streamml.runtime.faust_consumer import FAUST_LOG, Transport

log = logging.getLogger(__name__)


class WebServer(Web):
    """Faust's web server without Faust's own pages."""

    logger = FAUST_LOG

    default_blueprints: ClassVar[Any] = ()
    production_blueprints: ClassVar[Any] = ()


class Boot(BootStrategy):
    """Faust without a producer: whatever is written, the data plane writes."""

    enable_kafka_producer = False


class App(faust.App):
    """A Faust app whose consumer group belongs to one process alone: so it sees every record of its topics."""

    logger = FAUST_LOG
    BootStrategy = Boot

    def __init__(self, group: str, connection: Connection, web_host: str, web_port: int, data_dir: Path) -> None:
        self.kafka = connection
        super().__init__(
            group,
            broker=";".join(f"kafka://{server.strip()}" for server in connection.bootstrap.split(",")),
            store="memory://",
            datadir=str(data_dir),
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_bind=web_host,
            web_host=web_host,
            web_port=web_port,
            web_cors_options={},
            worker_redirect_stdouts=False,
        )

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    def _new_web(self) -> Any:
        return WebServer(self)


class Feed(NamedTuple):
    """A low-rate topic (partition 0) and who takes its records in.

    `back`: how many records before its end to begin; None for all of them.
    """

    topic: str
    decode: Callable[[bytes], dict[str, Any]]
    take: Callable[[dict[str, Any]], Awaitable[None] | None]
    back: int | None = None

    async def give(self, record: Any) -> None:
        """Hand over one record. One that cannot be read is skipped with a line: it must not stop this process."""
        try:
            done = self.take(self.decode(record.value or b""))
        except DecodeError as error:
            log.warning("%s[%d]@%d skipped: %s", record.topic, record.partition, record.offset, error)
            return
        if done is not None:
            await done


async def read_history(connection: Connection, group: str, feeds: Sequence[Feed]) -> None:
    """Give what the topics hold already, and commit for the unborn `group` where that ended: Faust reads on from there.

    So a process knows the champion and the open alerts before it does anything.

    Raises BrokerError if this user may not read one of the topics, or not in this group.
    """
    consumer = AIOKafkaConsumer(
        group_id=group, enable_auto_commit=False, isolation_level="read_committed", **connection.client()
    )
    try:
        await consumer.start()
        partitions = {TopicPartition(feed.topic, 0): feed for feed in feeds}
        consumer.assign(list(partitions))
        first = await consumer.beginning_offsets(list(partitions))
        ends = await consumer.end_offsets(list(partitions))
        for tp, feed in partitions.items():
            consumer.seek(tp, first[tp] if feed.back is None else max(first[tp], ends[tp] - feed.back))
        for tp, feed in partitions.items():
            while await consumer.position(tp) < ends[tp]:
                for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, ()):
                    await feed.give(record)
        await consumer.commit({tp: await consumer.position(tp) for tp in partitions})
    except FATAL as error:
        raise BrokerError(f"{group}: {refusal(error)}") from error
    finally:
        await consumer.stop()


def follow(app: App, feed: Feed) -> None:
    """Give `app` an agent that hands over each further record of the feed."""
    channel = app.topic(feed.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def read(stream: Any) -> None:
        async for event in stream.events():
            await feed.give(event.message)

    app.agent(channel, name=feed.topic)(read)
