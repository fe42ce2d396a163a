"""The aiokafka clients as the data plane needs them. Law: what aiokafka does not publish is touched here only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    InvalidTopicError,
    InvalidTransactionTimeout,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streamml.errors import BrokerError, RegistryError, StateLost
from streamml.records import TopicPartition, Write
from streamml.runtime.connection import Connection
from streamml.runtime.unpacking import install

install()

# aiokafka is untyped here; the names say what an `Any` stands for.
Consumer: TypeAlias = Any
Producer: TypeAlias = Any
Batch: TypeAlias = Any
_NO_HEADERS: list[tuple[str, bytes]] = []

FATAL: tuple[type[BaseException], ...] = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    InvalidTransactionTimeout,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)
"""A retry would meet the same answer: someone must act."""

UNAUTHORIZED: tuple[type[BaseException], ...] = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
"""A permission is missing."""

LOST: tuple[type[BaseException], ...] = (KafkaError, IllegalOperation, AssertionError, StateLost, RegistryError)
"""The session is lost and may be opened again; a fenced aiokafka producer answers with AssertionError."""

LATE_OR_LOST: tuple[type[BaseException], ...] = (TimeoutError, *LOST)
"""What ends an attempt at an orderly end."""

_ROUTINES = (
    "_sync_task",
    "_fetch_task",
    "_coordination_task",
    "_heartbeat_task",
    "_reset_committed_task",
    "_sender_task",
)
"""Of aiokafka's clients and their parts."""

_CLOSE_S = 1.0
"""How long sockets may take to close, once no orderly end is expected any more."""


@dataclass(frozen=True)
class Tuning:
    """The figures of the data plane. Times in the units of their names; the defaults were measured on one broker.

    A dead process is noticed after `session_timeout_ms`. What it left open in a transaction hides what follows it from
    readers until the next owner opens, or `transaction_timeout_ms` and then the broker's scan of 10 s have passed.
    """

    session_timeout_ms: int = 6_000
    heartbeat_interval_ms: int = 500
    rebalance_timeout_ms: int = 30_000
    transaction_timeout_ms: int = 10_000
    commit_interval_s: float = 1.0
    idle_wait_ms: int = 500
    max_records: int = 20_000
    fetch_bytes: int = 2 << 20
    batch_bytes: int = 1_000_000
    rotate_records: int = 1_000_000_000
    compression: str | None = None


def refusal(error: BaseException) -> str:
    """What the broker refuses, in words for whoever can allow it: the error names the topic or the group itself."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UNAUTHORIZED):
        return f"the broker refuses ({said}): grant this user what `streamml acl` lists"
    return f"the broker refuses ({said}): check this user and the settings of the topics and of the group"


def append_all(batch: Batch, writes: Sequence[Write], at: int) -> int:
    """Append `writes` from index `at` on, until the batch is full; returns the index of the first one not taken.

    `BatchBuilder.append` costs as much as the append itself: so it goes to the record builder behind it, as that does.
    """
    append, offset = batch._builder.append, batch._relative_offset
    first: int = offset
    for key, value, timestamp, headers in islice(writes, at, None):
        if append(offset, timestamp, key, value, list(headers) if headers else _NO_HEADERS) is None:
            break
        offset += 1
    batch._relative_offset = offset
    taken = int(offset) - first
    if at + taken < len(writes):
        batch.close()
    return at + taken


def group_consumer(connection: Connection, group: str, assignor: Any, tuning: Tuning) -> Consumer:
    """The consumer of one task: commits nothing by itself and reads what is committed.

    Every session seeks before it fetches. So an offset that is out of range was deleted, or lost, while it was read:
    that loses the session, whose opening says so; by itself aiokafka would jump there and say nothing.
    """
    return AIOKafkaConsumer(
        **connection.client(),
        client_id=group,
        group_id=group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        session_timeout_ms=tuning.session_timeout_ms,
        heartbeat_interval_ms=tuning.heartbeat_interval_ms,
        rebalance_timeout_ms=tuning.rebalance_timeout_ms,
        fetch_max_wait_ms=tuning.idle_wait_ms,
        max_partition_fetch_bytes=tuning.fetch_bytes,
        partition_assignment_strategy=(assignor,),
    )


def log_reader(connection: Connection, client_id: str) -> Consumer:
    """A consumer without a group, to restore and replay: an offset that is gone is an error, never a silent jump."""
    return AIOKafkaConsumer(
        **connection.client(),
        client_id=client_id,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 << 20,
    )


def transactional_producer(connection: Connection, transactional_id: str, tuning: Tuning) -> Producer:
    """The producer of one session; 20 ms of backoff because a coordinator is usually ready by then."""
    return AIOKafkaProducer(
        **connection.client(),
        client_id=transactional_id,
        transactional_id=transactional_id,
        transaction_timeout_ms=tuning.transaction_timeout_ms,
        retry_backoff_ms=20,
        linger_ms=0,
        max_batch_size=tuning.batch_bytes,
        max_request_size=64 << 20,
        compression_type=tuning.compression,
    )


def theirs(partitions: Iterable[TopicPartition]) -> list[Any]:
    """aiokafka looks at the class of a topic-partition; ours is equal to its own, but another class."""
    return [KafkaTopicPartition(*partition) for partition in partitions]


def set_fetch(consumer: Consumer, min_bytes: int, max_wait_ms: int) -> None:
    """Change what the next fetch asks for: aiokafka takes both figures at construction only."""
    fetcher = consumer._fetcher
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = min_bytes, max_wait_ms


def still_here(consumer: Consumer) -> None:
    """Work goes on with what was fetched before: aiokafka leaves the group when nothing was asked for in 5 minutes."""
    with consumer._subscription.fetch_context():
        pass


def unread(consumer: Consumer, partition: TopicPartition) -> int | None:
    """Offsets from the consumer's position to the last stable one, markers included; None while not known."""
    assignment = getattr(consumer._subscription.subscription, "assignment", None)
    state = assignment.state_value(partition) if assignment is not None else None
    if state is None or state.lso is None or not state.has_valid_position:
        return None
    return max(0, int(state.lso) - int(state.position))


def answered(consumer: Consumer, partition: TopicPartition) -> tuple[int, int] | None:
    """When (ms) the broker last answered a fetch of the partition, and with which last stable offset."""
    state = consumer._subscription.subscription.assignment.state_value(partition)
    return None if state.timestamp is None or state.lso is None else (int(state.timestamp), int(state.lso))


def raise_if_ended(consumer: Consumer) -> None:
    """Raise what the consumer's background work has met: `BrokerError` if it has ended, its own error if it goes on.

    aiokafka tells of neither but to a caller of `getmany`, waits until it was told, and a member without partitions
    never calls it.
    """
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    if coordinator is None or fetcher is None:
        return
    for task in (coordinator._coordination_task, fetcher.error_future):
        if task.done():
            reason = None if task.cancelled() else task.exception()
            raise BrokerError(f"group {coordinator.group_id}: the consumer has ended ({reason!r}): start again")
    coordinator.check_errors()


async def end_client(client: Consumer | Producer, timeout: float = 5.0) -> None:
    """Stop a consumer or a producer; close its sockets even when it does not stop in time or in order."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task is not None else 0
    try:
        await asyncio.wait_for(client.stop(), timeout)
    except LATE_OR_LOST:
        await _close(client)
    except asyncio.CancelledError:
        await _close(client)
        # aiokafka cancels what waits on a connection that it closes, and meets that here: only a new one is for us.
        if task is not None and task.cancelling() > cancelled:
            raise


async def _close(client: Consumer | Producer) -> None:
    """aiokafka's own way of closing would meet what the one before has left cancelled, and raise that; and its routines
    would connect again."""
    inner = client.client if isinstance(client, AIOKafkaProducer) else client._client
    parts = (inner, *(getattr(client, name, None) for name in ("_fetcher", "_coordinator", "_sender")))
    for part, name in product(parts, _ROUTINES):
        if (routine := getattr(part, name, None)) is not None:
            routine.cancel()
    closing = [closed for connection in tuple(inner._conns.values()) if (closed := connection.close()) is not None]
    if closing:
        await asyncio.wait(closing, timeout=_CLOSE_S)


def forget_transaction(producer: Producer) -> None:
    """Look at how the last transaction ended: the event loop would report a failed one, never looked at, as a leak."""
    waiter = producer._txn_manager.wait_for_transaction_end()
    if waiter is not None and waiter.done() and not waiter.cancelled():
        waiter.exception()


def refused_with(producer: Producer | None) -> BaseException | None:
    """What the producer's transaction was refused with, if no retry would help.

    aiokafka keeps it to itself: the batches of the transaction fail with whatever comes of the refusal.
    """
    waiter = producer._txn_manager.wait_for_transaction_end() if producer is not None else None
    if waiter is None or not waiter.done() or waiter.cancelled():
        return None
    error = waiter.exception()
    return error if isinstance(error, FATAL) else None


async def partition_count(producer: Producer, topic: str) -> int:
    """How many partitions the topic has; waits until the metadata has it."""
    return len(await producer.partitions_for(topic))


async def hidden_topics(admin: Any, names: Iterable[str]) -> list[str]:
    """Those of `names` that this user may not see; whether they exist is not told to such a user.

    Asked in this way the broker creates none of them, as it may when aiokafka's own `describe_topics` asks.
    """
    answer = await admin._send_request(MetadataRequest(list(names), allow_auto_topic_creation=False))
    refused = TopicAuthorizationFailedError.errno
    return [topic["topic"] for topic in answer.to_object()["topics"] if topic["error_code"] == refused]
