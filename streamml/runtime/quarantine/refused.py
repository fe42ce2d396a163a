"""What the quarantine holds. Law: every record of it is shown, whatever its headers are; looking changes nothing.

A place is a partition and an offset of `<app>.quarantine`: it names one refusal for ever.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from aiokafka.errors import KafkaConnectionError, KafkaError

from streamml.agents.quarantine import REASON
from streamml.errors import BrokerError, DecodeError, StreammlError
from streamml.records import Record, TopicPartition
from streamml.runtime.clients import end_client, log_reader
from streamml.runtime.connection import Connection, unreachable
from streamml.runtime.restore import Progress, Span, bounds, read_spans
from streamml.runtime.tail import Decoder, partitions_of

UNREADABLE = "unreadable"
"""Stands for the rule of a record whose reason cannot be read: nobody but an outsider writes such a one."""


class Place(NamedTuple):
    """Where a refused record lies in the quarantine."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"

    @classmethod
    def of(cls, text: str) -> Place:
        """From `2@17` or `2:17`. Raises StreammlError."""
        found = re.fullmatch(r"(\d{1,9})[@:](\d{1,18})", text.strip(), re.ASCII)
        if found is None:
            raise StreammlError(
                f"{text!r} is no place in the quarantine: write partition@offset as `streamml quarantine list` shows "
                "it, such as 0@17"
            )
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Refused:
    """A record in quarantine without its bytes. `topic[partition]@offset` is where it came from; times are in ms."""

    place: Place
    topic: str
    partition: int
    offset: int
    agent: str
    rule: str
    field: str | None
    error: str
    at: int
    timestamp: int
    key: bytes | None
    size: int | None

    @property
    def source(self) -> str:
        """Where it came from."""
        return f"{self.topic}[{self.partition}]@{self.offset}" if self.topic else "unknown"

    @property
    def identity(self) -> tuple[int, int, int]:
        """The place and the time of the refusal: of a topic that was made anew, places come again, times do not."""
        return (*self.place, self.at)


@dataclass(frozen=True)
class Selection:
    """Which of the refused are meant; what is None does not matter. `since` and `until` (ms) are of the refusal."""

    places: frozenset[Place] | None = None
    rule: str | None = None
    agent: str | None = None
    since: int | None = None
    until: int | None = None

    def __contains__(self, refused: object) -> bool:
        return (
            isinstance(refused, Refused)
            and (self.places is None or refused.place in self.places)
            and self.rule in (None, refused.rule)
            and self.agent in (None, refused.agent)
            and (self.since is None or refused.at >= self.since)
            and (self.until is None or refused.at < self.until)
        )


Take: TypeAlias = Callable[[Refused, Record], Awaitable[None]]
"""Takes the next refused record, with its bytes."""


async def read_refused(
    connection: Connection,
    topic: str,
    decoder: Decoder,
    take: Take,
    wanted: Mapping[int, Span] | None = None,
) -> None:
    """Give what the quarantine holds now to `take`, in log order by partition; of `wanted`, only these offsets.

    What `take` raises goes through, and so do the errors of Kafka: `told` makes one line of those.
    """

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for tp in sorted(batch):
            headers = [value for record in batch[tp] for name, value in record.headers if name == REASON]
            await decoder.meet(headers)
            for record in batch[tp]:
                await take(_refused(record, decoder), record)

    held = await _held(connection, topic)
    spans = held if wanted is None else _within(held, wanted)
    await read_spans(connection, "streamml-quarantine", spans, feed, Progress())


@contextmanager
def told(connection: Connection, topic: str) -> Iterator[None]:
    """While `topic` is read: raises BrokerError where no broker answers, or it refuses this user."""
    try:
        yield
    except KafkaConnectionError as error:
        raise unreachable(connection, error) from error
    except KafkaError as error:
        raise BrokerError(f"{topic} cannot be read ({error!r}): check the permissions of this user") from error


async def find(connection: Connection, topic: str, decoder: Decoder, place: Place) -> tuple[Refused, Record]:
    """The record at `place`. Raises BrokerError if there is none."""
    found: list[tuple[Refused, Record]] = []

    async def take(refused: Refused, record: Record) -> None:
        found.append((refused, record))

    with told(connection, topic):
        await read_refused(connection, topic, decoder, take, {place.partition: Span(place.offset, place.offset + 1)})
        if not found:
            raise BrokerError(await _missing(connection, topic, place))
    return found[0]


def spans_around(places: Sequence[Place]) -> dict[int, Span]:
    """The offsets from the first to the last of `places`, by partition."""
    spans: dict[int, Span] = {}
    for partition, offset in places:
        before = spans.get(partition, Span(offset, offset + 1))
        spans[partition] = Span(min(before.start, offset), max(before.end, offset + 1))
    return spans


async def _missing(connection: Connection, topic: str, place: Place) -> str:
    held = await _held(connection, topic)
    span = held.get(TopicPartition(topic, place.partition))
    if span is None:
        return f"{topic} has no partition {place.partition}: its partitions are 0 to {len(held) - 1}"
    what = f"it holds offsets {span.start} to {span.end - 1}" if span.start < span.end else "it is empty"
    return (
        f"{topic} has no record at {place}: partition {place.partition} is there, {what}, some of which are marks of "
        "transactions; `streamml quarantine list` shows the places"
    )


async def _held(connection: Connection, topic: str) -> dict[TopicPartition, Span]:
    partitions = await partitions_of(connection, topic)
    reader = log_reader(connection, "streamml-quarantine")
    try:
        await reader.start()
        held = await bounds(reader, partitions)
    finally:
        await end_client(reader)
    return {TopicPartition(*tp): span for tp, span in held.items()}


def _within(held: Mapping[TopicPartition, Span], wanted: Mapping[int, Span]) -> dict[TopicPartition, Span]:
    return {
        tp: Span(max(span.start, wanted[tp.partition].start), min(span.end, wanted[tp.partition].end))
        for tp, span in held.items()
        if tp.partition in wanted
    }


def _refused(record: Record, decoder: Decoder) -> Refused:
    place = Place(record.partition, record.offset)
    size = None if record.value is None else len(record.value)
    rest: tuple[int, bytes | None, int | None] = (record.timestamp, record.key, size)
    header = next((value for name, value in reversed(list(record.headers)) if name == REASON), None)
    try:
        if header is None:
            raise DecodeError(UNREADABLE, f"no header {REASON}")
        reason: dict[str, Any] = decoder.avro(header)
        source = (reason["topic"], reason["partition"], reason["offset"])
        why = (reason["agent"], reason["rule"], reason["field"], reason["error"], reason["at"])
        return Refused(place, *source, *why, *rest)
    except (DecodeError, KeyError) as error:
        said = f"the reason cannot be read: {error}"
        return Refused(place, "", 0, 0, "", UNREADABLE, None, said, record.timestamp, *rest)
