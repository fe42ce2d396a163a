"""A `Validate` over the first rows of Elec2, and their records in both formats."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

import orjson

from streamml.agents.quarantine import Quarantine
from streamml.agents.validate import Valid, Validate
from streamml.records import BareRecord, LogRecord, Write
from streamml.schemas import Codec, EventReader, Registry, load_schema, system_schemas
from streamml.schemas.load import SHIPPED
from streamml.topology import (
    Check,
    Classification,
    Events,
    EventTime,
    Feedback,
    Model,
    OneOf,
    Range,
    Required,
    Topology,
    Transform,
)

NUMBERS = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
Format = Literal["avro", "json"]
PARTITION = 1
"""Of the events and of the feedback."""


def topology(format: Format = "avro", **changes: Any) -> Topology:
    declared: dict[str, Any] = {
        "name": "elec2",
        "events": Events("elec2.event", id="id", time="timestamp", format=format),
        "transform": Transform(*NUMBERS),
        "target": Classification("DOWN", "UP"),
        "models": (Model("m", lambda: None),),
        "feedback": Feedback("elec2.label", id="id", label="class", time="time", format=format),
        "rules": (
            Required("nswprice"),
            Range("nswprice", 0, 1),
            OneOf("day", *range(1, 8)),
            EventTime(max_ahead=timedelta(hours=1)),
            Check("period", lambda event: event["period"] >= 0),
        ),
    }
    return Topology(**{**declared, **changes})


class Bench:
    """A validator with its registry and the codecs of what goes in and comes out."""

    def __init__(self, declared: Topology, label: str = "string") -> None:
        self.registry = Registry()
        system = system_schemas([(name, "double", False) for name in NUMBERS], label, label != "double")
        self.event = self._codec("events", load_schema(declared.events.schema))
        self.label = self._codec("feedback", load_schema(declared.feedback.schema))
        self.labels = self._codec("labels", system["labels"])
        self.reasons = self._codec("quarantine", system["quarantine"])
        self.validate = Validate(
            declared,
            EventReader(self.event.schema, declared.events.format, self.registry, "events-value"),
            EventReader(self.label.schema, declared.feedback.format, self.registry, "feedback-value"),
            Quarantine(self.reasons, "validate"),
            self.labels,
            PARTITION,
        )

    def judged(self, batch: Sequence[BareRecord], now: int) -> tuple[list[Valid], list[Write]]:
        """The valid events, and the writes to the quarantine."""
        refused: list[Write] = []
        return list(self.validate.events(batch, now, refused)), refused

    def _codec(self, role: str, schema: dict[str, Any]) -> Codec:
        return Codec(schema, self.registry.register(f"{role}-value", schema))


def rows(count: int) -> list[tuple[dict[str, Any], str]]:
    """(event, class) of the first rows."""
    with gzip.open(SHIPPED[0].parent / "data" / "elec2.csv.gz", "rt") as file:
        return [(_event(i, row), row["class"]) for i, row in enumerate(islice(csv.DictReader(file), count))]


def _event(number: int, row: dict[str, str]) -> dict[str, Any]:
    moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
    numbers = {name: float(row[name]) for name in NUMBERS}
    return {"id": f"e-{number}", "timestamp": int(moment.timestamp() * 1000), "day": int(row["day"]), **numbers}


def records(role: str, values: Sequence[bytes | None]) -> list[LogRecord]:
    return [
        LogRecord(f"elec2.{role}", PARTITION, i, 1_000 + i, b"key", value, [("h", b"1")])
        for i, value in enumerate(values)
    ]


def to_json(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value)
