"""Commands to govern. Law: a command stands in `control` once, at the offset that the broker acknowledged, and its
answer is the decision that names this offset."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from streamml.agents.roster import Decision
from streamml.errors import BrokerError, DecodeError, StreammlError
from streamml.records import Record, TopicPartition
from streamml.runtime.admin import require_topics
from streamml.runtime.clients import FATAL, end_client, log_reader, refusal, theirs
from streamml.runtime.connection import Connection, unreachable
from streamml.runtime.looking_back import SNAPSHOTS, AnySnapshot, look_back
from streamml.runtime.quarantine.refused import told
from streamml.runtime.rebuilding import held_spans
from streamml.runtime.restore import Progress, Span, read_spans
from streamml.schemas import Codec
from streamml.topology import Topology

_NAME = "streamml-command"
_POLL_MS = 250


def command_of(
    action: str,
    model: str | None,
    *,
    reason: str,
    author: str,
    at: int,
    position: int | None = None,
    from_position: int | None = None,
    to_position: int | None = None,
) -> dict[str, Any]:
    """The record of `control` that asks for `action`; `at` is in ms since the epoch."""
    return {
        "kind": "command",
        "action": action,
        "model": model,
        "position": position,
        "accepted": None,
        "reason": reason,
        "author": author,
        "command": None,
        "parent": None,
        "from_position": from_position,
        "to_position": to_position,
        "evidence": {},
        "at": at,
    }


async def give(connection: Connection, topology: Topology, codec: Codec, command: Mapping[str, Any]) -> int:
    """Append `command` to `control`; the offset at which it stands, committed.

    The producer is idempotent: what is sent again after a lost acknowledgement is not there twice.

    Raises:
        BrokerError: no such topic, no broker answers, or it refuses.
    """
    topic = topology.topic("control")
    await require_topics(connection, [topic])
    producer = AIOKafkaProducer(**connection.client(), client_id=_NAME, enable_idempotence=True, acks="all")
    try:
        await producer.start()
        placed = await producer.send_and_wait(topic, codec.encode(command), partition=0, timestamp_ms=command["at"])
    except KafkaConnectionError as error:
        raise unreachable(connection, error) from error
    except FATAL as error:
        raise BrokerError(f"nothing is asked for: {refusal(error)}") from error
    except KafkaError as error:
        raise BrokerError(
            f"{topic} did not take the command in time ({error!r}): `streamml tail TOPOLOGY control` shows whether it "
            "stands there all the same"
        ) from error
    finally:
        await end_client(producer)
    return int(placed.offset)


async def answer_to(
    connection: Connection, topology: Topology, codec: Codec, command: int, patience: float
) -> Decision | None:
    """The decision on the command at that offset of `control`; None if there is none within `patience` seconds.

    Raises BrokerError.
    """
    control = TopicPartition(topology.topic("control"), 0)
    until = time.monotonic() + patience
    with told(connection, control.topic):
        reader = log_reader(connection, _NAME)
        try:
            await reader.start()
            reader.assign(theirs([control]))
            reader.seek(*theirs([control]), command + 1)
            while (left := until - time.monotonic()) > 0:
                batch = await reader.getmany(timeout_ms=max(1, min(_POLL_MS, int(left * 1_000))))
                for record in (record for records in batch.values() for record in records):
                    if (decision := _decision(codec, record, command)) is not None:
                        return decision
        finally:
            await end_client(reader)
    return None


def _decision(codec: Codec, record: Record, command: int) -> Decision | None:
    try:
        entry = codec.decode(record.value or b"")
    except DecodeError:
        return None
    return entry if entry["kind"] == "decision" and entry["command"] == command else None


class _Enough(Exception):
    """Ends the reading of a span early."""


async def held_examples(
    connection: Connection, topology: Topology, codec: Codec, key: bytes | None, wanted: int
) -> int:
    """How many examples the log holds, as far as is needed to know whether it holds `wanted`.

    A position counts examples, and transactions leave holes in the offsets. So it begins with the snapshot that has
    come furthest, whose header says both, and counts what follows it. `codec` is that of snapshots; with a `key` (see
    `snapshots.key_of`) only one that it signed is believed.

    Raises:
        StreammlError: there is no snapshot, and `examples` has lost its beginning; or no broker answers.
    """
    look = await look_back(connection, topology.topic("models"), lambda: AnySnapshot(codec, key), SNAPSHOTS)
    count, offset = (look.found.position, look.found.offset) if look.found is not None else (0, 0)
    if count >= wanted:
        return count
    examples = TopicPartition(topology.topic("examples"), 0)
    end = (await held_spans(connection, [examples]))[examples].end

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        nonlocal count
        count += sum(map(len, batch.values()))
        if count >= wanted:
            raise _Enough
        await asyncio.sleep(0)

    try:
        with told(connection, examples.topic):
            await read_spans(connection, _NAME, {examples: Span(offset, end)}, feed, Progress())
    except _Enough:
        pass
    return count


async def require_position(
    connection: Connection, topology: Topology, codec: Codec, key: bytes | None, position: int
) -> None:
    """Raises StreammlError if the log does not hold so many examples."""
    held = await held_examples(connection, topology, codec, key, position)
    if held < position:
        raise StreammlError(
            f"{topology.topic('examples')} holds {held} examples, so there is no position {position} yet: give a "
            f"position up to {held}"
        )
