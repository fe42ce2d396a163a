"""The two topics that producers outside write: events, and the labels that come back for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

Schema: TypeAlias = str | Path | Mapping[str, Any]
"""An Avro schema: the name of a file (`elec2.event` is `schemas/elec2.event.avsc`), a path, or the schema itself."""

Format: TypeAlias = Literal["avro", "json"]


@dataclass(frozen=True)
class Events:
    """The raw events.

    `id` names the string or integer field that identifies an event for its whole life; `time` the field with its
    event time (`timestamp-millis`, or a long in milliseconds); `entity` the field to key windows by, the id if not
    given. `format` is `avro` (Confluent wire format) or `json` (one object, coerced by the same schema).
    """

    schema: Schema
    id: str
    time: str
    entity: str | None = None
    format: Format = "avro"


@dataclass(frozen=True)
class Assume:
    """What a label that never came stands for: at the horizon the example is completed with this value."""

    value: str | int | float | bool


@dataclass(frozen=True)
class Feedback:
    """The labels, which come late, out of order, twice or never.

    `id` names the field with the event's id, `label` the field with the label, `time` the field with the time at
    which the label became known (absent: the record's own Kafka timestamp). A label counts until `horizon` after its
    event's time, by the clock of the label stream; `grace` bounds how far that stream may run out of order.

    Policies. `late` (known after the horizon): `drop` it, or `quarantine` it. `doubled` (a second label of one id):
    the first counts, the others are dropped or quarantined. `orphan` (no event of its id within the horizon):
    dropped or quarantined. `missing` (no label within the horizon): the event is dropped from learning, or learned
    with an `Assume`d label. Each is counted whatever its policy. `idle`: a label stream that is silent for so long
    (wall clock) no longer holds back expiry.

    `store`: where the events that wait for their labels are kept, `memory` (about 1 kB each) or `disk`, for millions of
    them: a cache of the changelog in the worker's `--data-dir`, whose loss costs time only.
    """

    schema: Schema
    id: str
    label: str
    time: str | None = None
    format: Format = "avro"
    horizon: timedelta = timedelta(days=7)
    grace: timedelta = timedelta(0)
    late: Literal["drop", "quarantine"] = "drop"
    doubled: Literal["drop", "quarantine"] = "drop"
    orphan: Literal["drop", "quarantine"] = "drop"
    missing: Literal["drop"] | Assume = "drop"
    idle: timedelta = field(default=timedelta(minutes=5))
    store: Literal["memory", "disk"] = "memory"
