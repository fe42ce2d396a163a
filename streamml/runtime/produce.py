"""Producing as an outside writer does. Law: every record that is counted as sent has been acknowledged, in order, once.

The producer is idempotent (KIP-98): a retry neither doubles nor reorders. The partition is Java's murmur2 of the key.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from streamml.errors import BrokerError
from streamml.records import Headers
from streamml.runtime.admin import require_topics
from streamml.runtime.clients import end_client
from streamml.runtime.connection import Connection, unreachable

_TICK = 0.02
_CHUNK = 500
_IN_FLIGHT = 20_000


class Message(NamedTuple):
    """A record to produce, with a key or a value at least; the timestamp is in ms, None means now."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: Headers = ()


async def produce(
    connection: Connection,
    topics: Iterable[str],
    messages: Iterable[Message],
    *,
    rate: float | None = None,
    sent: Callable[[int], None] = lambda count: None,
) -> int:
    """Produce `messages` to `topics`, in order, at most `rate` a second; the number of records acknowledged.

    `messages` is drawn from as records become due. `sent` is called now and then with the number handed over so far.
    What was drawn before an error of `messages` itself, or before a cancellation, is still delivered.

    Raises:
        BrokerError: a topic does not exist, the broker cannot be reached, or refuses a record.
    """
    await require_topics(connection, topics)
    count, pending = 0, deque[Any]()
    async with _producer(connection) as producer:
        source = iter(messages)
        try:
            async for due in _dues(rate):
                before = count
                for message in islice(source, due):
                    pending.append(await _send(producer, message))
                    count += 1
                sent(count)
                if count - before < due:
                    break
                while len(pending) > _IN_FLIGHT or (pending and pending[0].done()):
                    await pending.popleft()
        finally:
            # Also after an error of the source: what was counted must have arrived.
            await producer.flush()
            await asyncio.gather(*pending)
    return count


async def _send(producer: Any, message: Message) -> Any:
    topic, key, value, timestamp, headers = message
    return await producer.send(topic, value, key, timestamp_ms=timestamp, headers=list(headers))


async def _dues(rate: float | None) -> AsyncIterator[int]:
    """How many records to send next, at most a chunk: record k is due k / rate seconds after the start."""
    while rate is None:
        yield _CHUNK
        await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    start, given = loop.time(), 0
    while True:
        owed = int((loop.time() - start) * rate) + 1 - given
        if owed > max(_CHUNK, rate):
            # After a stall of a second the schedule starts anew: the rate is a bound, not an average to catch up with.
            start, given, owed = loop.time(), 0, 1
        while owed > 0:
            part = min(owed, _CHUNK)
            owed -= part
            given += part
            yield part
        await asyncio.sleep(max(given / rate - (loop.time() - start), _TICK))


@asynccontextmanager
async def _producer(connection: Connection) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(
        **connection.client(),
        client_id="streamml-produce",
        enable_idempotence=True,
        linger_ms=5,
        max_batch_size=256 << 10,
        max_request_size=8 << 20,
    )
    try:
        await producer.start()
        yield producer
    except KafkaConnectionError as error:
        raise unreachable(connection, error) from error
    except MessageSizeTooLargeError as error:
        raise BrokerError(
            f"a record is larger than the broker takes ({error}): leave it out, or raise max.message.bytes"
        ) from error
    except KafkaError as error:
        raise BrokerError(
            f"the broker at {connection.bootstrap} refuses to take records ({error!r}): check its log"
        ) from error
    finally:
        await end_client(producer)
