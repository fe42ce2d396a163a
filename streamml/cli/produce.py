"""`produce`: a file into `events` or `feedback`. Law: a row is sent as the schema says, or refused with one line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.bars import sending_bar
from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath, connection, load, reach
from streamml.cli.terminal import error, note, plain_logs
from streamml.errors import DecodeError, StreammlError

if TYPE_CHECKING:
    from streamml.files import Rows, Shape, Shaped
    from streamml.runtime.connection import Connection
    from streamml.runtime.produce import Message
    from streamml.topology import Topology

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHOWN = 20


class Source(StrEnum):
    """The topics that are written from outside."""

    events = "events"
    feedback = "feedback"


class OnError(StrEnum):
    """What becomes of a file with a bad row."""

    stop = "stop"
    skip = "skip"


def produce(
    topology: TopologyPath,
    role: Annotated[Source, typer.Argument(metavar="events|feedback", help="The topic to fill.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl file, or one with .gz.")],
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="Records a second; as fast as possible without it.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many rows.")] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Leave out so many rows at the beginning.")] = 0,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns", metavar="FIELD=COLUMN,…", help="The file's column for a field, where the names differ."
        ),
    ] = None,
    id_prefix: Annotated[
        str,
        typer.Option(
            "--id-prefix",
            help="Begins the ids that are made where the file has none: this and the row's number, from 0.",
        ),
    ] = "",
    delay: Annotated[
        str | None,
        typer.Option(
            "--delay",
            metavar="TIME",
            help="Feedback: the label is known so long after the event's time, such as 24h or 30m.",
        ),
    ] = None,
    on_error: Annotated[OnError, typer.Option("--on-error", help="What to do at a bad row.")] = OnError.stop,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Send the rows of a file as events or feedback, encoded as the topology declares.

    Columns go to the fields of the same name. A file without ids gets its rows' numbers, so that its events and its
    feedback meet.
    """
    plain_logs()
    found = load(topology)
    where = connection(bootstrap, property, properties)
    from streamml.engine.catalog import schemas_of
    from streamml.files import Shape, open_rows

    shape = Shape(found, role.value, schemas_of(found), _columns(columns), id_prefix, _delay(delay))
    with open_rows(file) as rows, sending_bar(f"{role.value} of {found.name}") as show:
        if rows.columns is not None:
            shape.check_columns(rows.columns)
        reading = _Reading(rows, shape, on_error, skip, limit)
        count = asyncio.run(
            _send(found, role.value, reading, where, registry, rate, lambda sent: show(reading.share, sent))
        )
    left_out = f", {reading.refused} refused" if reading.refused else ""
    note(f"{count} records sent to {found.topic(role.value)}{left_out}")
    if reading.stopped_by is not None:
        raise StreammlError(f"{reading.stopped_by}; correct the row, or go on past such rows with --on-error skip")


async def _send(
    topology: Topology,
    role: str,
    reading: _Reading,
    where: Connection,
    registry: str | None,
    rate: float | None,
    show: object,
) -> int:
    from streamml.engine.catalog import schemas_of
    from streamml.files import encoder_of
    from streamml.runtime.applying import open_store, registered
    from streamml.runtime.produce import Message, produce

    await reach(where)
    source = topology.events if role == "events" else topology.feedback
    schema_id = 0
    if source.format == "avro":
        store = open_store(topology.name, where, registry)
        try:
            schema_id = await registered(topology, store, role)
        finally:
            await store.close()
    encode = encoder_of(source.format, schemas_of(topology)[role], schema_id)
    topic = topology.topic(role)
    messages: Iterator[Message] = (Message(topic, r.key, encode(r.value), r.timestamp) for r in reading)
    assert callable(show)
    return await produce(where, [topic], messages, rate=rate, sent=show)


class _Reading:
    """The records of a file's good rows; bad ones are told of as they come; `stopped_by` says which one ended it."""

    def __init__(self, rows: Rows, shape: Shape, on_error: OnError, skip: int, limit: int | None) -> None:
        self._rows = rows
        self._shape = shape
        self._on_error = on_error
        self._skip = skip
        self._limit = limit
        self._taken = 0
        self.refused = 0
        self.stopped_by: str | None = None

    @property
    def share(self) -> float:
        return max(self._rows.share, self._taken / self._limit if self._limit else 0.0)

    def __iter__(self) -> Iterator[Shaped]:
        from streamml.files import Row

        for item in self._rows:
            if item.number < self._skip:
                continue
            if self._limit is not None and self._taken >= self._limit:
                return
            self._taken += 1
            try:
                if isinstance(item, Row):
                    yield self._shape.record(item)
                    continue
                reason = item.reason
            except DecodeError as problem:
                reason = str(problem)
            if not self._goes_on(f"{self._rows.path}:{item.line}: row {item.number}: {reason}"):
                return

    def _goes_on(self, line: str) -> bool:
        self.refused += 1
        if self._on_error is OnError.stop:
            self.stopped_by = line
            return False
        if self.refused <= _SHOWN:
            error(line)
        elif self.refused == _SHOWN + 1:
            note("(further bad rows are counted, not shown)")
        return True


def _columns(given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for part in ",".join(given or ()).split(","):
        field, equals, column = (text.strip() for text in part.partition("="))
        if part.strip():
            if not (field and equals and column):
                raise StreammlError(
                    f"--columns {part.strip()!r} is not FIELD=COLUMN: write it as label=class,time=known_at"
                )
            pairs[field] = column
    return pairs


def _delay(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", text.strip())
    if found is None:
        raise StreammlError(f"--delay {text!r} is no time: write a number and one of ms, s, m, h, d, such as 30m")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
