"""From a row to a record of `events` or `feedback`.

Law: the same row of the same file has the same id, whichever topic it goes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from streamml.errors import DecodeError, StreammlError
from streamml.files.cells import Parse, cell_parsers, parse_cells
from streamml.files.rows import Row
from streamml.schemas.canonical import Avro, expanded, kind_of
from streamml.schemas.coercion import coercer
from streamml.topology import Events, Topology


class Shaped(NamedTuple):
    """A record to produce: its key, its canonical value, and its Kafka timestamp in ms (None: now)."""

    key: bytes
    value: dict[str, Any]
    timestamp: int | None


class Shape:
    """How the rows of a file become records of one topic of `topology`.

    Args:
        schemas: the schemas by role, as of `engine.catalog.schemas_of`.
        columns: the file's column by the name of the field, where they differ.
        id_prefix: begins the id that is made where the file has no column for it: the prefix and the row's number.
        delay: feedback only: the label's time is so long after the event's (from the column of the events' time field).
            If the topology declares no time field for feedback, it is the record's Kafka timestamp.
    """

    def __init__(
        self,
        topology: Topology,
        role: Literal["events", "feedback"],
        schemas: Mapping[str, Mapping[str, Any]],
        columns: Mapping[str, str] | None = None,
        id_prefix: str = "",
        delay: timedelta | None = None,
    ) -> None:
        self.role = role
        self._source = topology.events if role == "events" else topology.feedback
        self._columns = dict(columns or {})
        self._tree = expanded(schemas[role])
        self._fields = {field["name"]: field for field in self._tree["fields"]}
        self._parsers = cell_parsers(self._tree)
        self._coerce = coercer(self._tree)
        self._prefix = id_prefix
        self._whole = kind_of(_value_type(self._fields[self._source.id]["type"])) in ("int", "long")
        self._key = self._source.entity if isinstance(self._source, Events) and self._source.entity else self._source.id
        self._time = _EventTime(topology, schemas["events"], self._columns, delay) if delay is not None else None
        if self._time is not None and role == "events":
            raise StreammlError("a delay is for feedback: it is added to the time of the event")
        if self._whole and id_prefix:
            raise StreammlError(
                f"field {self._source.id} is a number, so ids cannot begin with {id_prefix!r}; leave the prefix out"
            )
        for field in self._columns:
            if field not in self._fields and (self._time is None or field != self._time.field):
                raise StreammlError(
                    f"no field {field!r} in the schema of {role}; its fields are {', '.join(self._fields)}"
                )

    def check_columns(self, columns: Iterable[str]) -> None:
        """Raise StreammlError if a file with these columns cannot have a single good row."""
        there = list(columns)
        shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
        for field, column in self._columns.items():
            if column not in there:
                raise StreammlError(
                    f"the file has no column {column!r} for the field {field!r}; its columns are {shown}"
                )
        made = {self._source.id}
        if self._time is not None:
            made.add(getattr(self._source, "time", None) or "")
            if self._time.column not in there:
                raise StreammlError(
                    f"the file has no column {self._time.column!r} to add the delay to; its columns are {shown}"
                )
        for name, field in self._fields.items():
            if name not in made and "default" not in field and self._columns.get(name, name) not in there:
                hint = ", or give --delay" if self.role == "feedback" and name == self._source.time else ""
                raise StreammlError(
                    f"the file has no column for the field {name!r} of {self.role}; name it with "
                    f"--columns {name}=COLUMN{hint} "
                    f"(its columns are {shown})"
                )

    def record(self, row: Row) -> Shaped:
        """The record of a row. Raises DecodeError, which names the field and the value."""
        cells = {
            name: row.cells[column] for name in self._fields if (column := self._columns.get(name, name)) in row.cells
        }
        values = parse_cells(self._parsers, cells) if row.text else cells
        if self._source.id not in values:
            values[self._source.id] = row.number if self._whole else f"{self._prefix}{row.number}"
        timestamp = None
        if self._time is not None:
            at = self._time.of(row)
            if self._source.time is None:
                timestamp = at
            else:
                values[self._source.time] = at
        value: dict[str, Any] = self._coerce(values, "")
        key = value[self._source.id] if value[self._key] is None else value[self._key]
        return Shaped(str(key).encode(), value, timestamp)


class _EventTime:
    """The time of a row's event, in ms, and a delay."""

    def __init__(
        self, topology: Topology, schema: Mapping[str, Any], columns: Mapping[str, str], delay: timedelta
    ) -> None:
        self.field = topology.events.time
        self.column = columns.get(self.field, self.field)
        tree = expanded(schema)
        kind = next(field["type"] for field in tree["fields"] if field["name"] == self.field)
        self._parse: Parse = cell_parsers(tree)[self.field]
        self._coerce = coercer(_value_type(kind))
        self._delay = delay // timedelta(milliseconds=1)

    def of(self, row: Row) -> int:
        cell = row.cells.get(self.column)
        if cell is None:
            raise DecodeError(
                "schema", f"no {self.column}; expected the event's time, which the delay is added to", self.column
            )
        at: int = self._coerce(self._parse(cell) if row.text else cell, self.column)
        return at + self._delay


def _value_type(schema: Avro) -> Avro:
    """The type of a field apart from null."""
    return next(branch for branch in schema if branch != "null") if isinstance(schema, list) else schema
