"""All records that tell of one id. Law: read_committed, no group; what we write lies where the id's hash says, and what
others write may lie anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from streamml.engine.catalog import Catalog
from streamml.errors import DecodeError
from streamml.partitioning import partition_of
from streamml.records import Record, Role, TopicPartition
from streamml.rules import id_of
from streamml.runtime.connection import Connection
from streamml.runtime.quarantine.refused import told
from streamml.runtime.rebuilding import held_spans
from streamml.runtime.restore import Progress, read_spans
from streamml.runtime.tail import partitions_of
from streamml.schemas import field_kinds

_OUTSIDE = ("events", "feedback")
_OURS = ("features", "predictions", "labels", "examples")


@dataclass
class Trace:
    """The records of one id by role, in log order by partition.

    `position` is that of its first example: how many stand before it; None where there is none, or where the log's
    beginning was deleted, so that nobody can count.
    """

    found: dict[Role, list[Record]] = field(default_factory=dict)
    position: int | None = None

    def first(self, role: Role) -> Record | None:
        """The first record of a role: an id names one event, and what comes later is a double."""
        return next(iter(self.found.get(role, ())), None)

    def __bool__(self) -> bool:
        return any(self.found.values())


async def trace(connection: Connection, catalog: Catalog, id: str) -> Trace:
    """Every record of `id` that the topics hold now. Raises BrokerError."""
    topology, key = catalog.topology, id.encode()
    roles: dict[TopicPartition, Role] = {}
    for role in (*_OUTSIDE, *_OURS):
        parts = await partitions_of(connection, topology.topic(role))
        if role not in _OUTSIDE:
            parts = [parts[partition_of(key, len(parts))]]
        roles |= dict.fromkeys(parts, role)
    tells: dict[Role, Callable[[Record], bool]] = dict.fromkeys(_OURS, lambda record: record.key == key)
    tells |= {role: partial(_names, _reads(catalog, role), id) for role in _OUTSIDE}
    spans = await held_spans(connection, list(roles))
    made = Trace({role: [] for role in (*_OUTSIDE, *_OURS)})
    examples = TopicPartition(topology.topic("examples"), 0)
    counted = 0

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        nonlocal counted
        for tp, records in batch.items():
            role = roles[TopicPartition(*tp)]
            for number, record in enumerate(records):
                if tells[role](record):
                    made.found[role].append(record)
                    if role == "examples" and made.position is None and spans[examples].start == 0:
                        made.position = counted + number
            if role == "examples":
                counted += len(records)

    with told(connection, f"the topics of {topology.name}"):
        await read_spans(connection, "streamml-explain", spans, feed, Progress())
    for records in made.found.values():
        records.sort(key=lambda record: (record.partition, record.offset))
    return made


def _reads(catalog: Catalog, role: Role) -> Callable[[bytes | None, str], str]:
    """From the value of an outside record to its id, if it can be the one that is looked for. Raises DecodeError."""
    topology = catalog.topology
    source, read = (
        (topology.events, catalog.events.read) if role == "events" else (topology.feedback, catalog.feedback.read)
    )
    text = field_kinds(catalog.schema(role))[source.id].types == ("string",)
    escaped = source.format == "json"

    def id_in(value: bytes | None, wanted: str) -> str:
        # Most records are not worth decoding: text stands in both formats as it is, but for JSON's escapes.
        if text and value is not None and wanted.encode() not in value and not (escaped and b"\\" in value):
            return ""
        return id_of(read(value)[source.id], source.id)

    return id_in


def _names(id_in: Callable[[bytes | None, str], str], id: str, record: Record) -> bool:
    try:
        return id_in(record.value, id) == id
    except DecodeError:
        return False
