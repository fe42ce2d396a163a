"""What is sent, and in which order. Law: a label follows its event by `delay` rows, and is not known before its time.

Row i of the stream is sent as an event, and then the label of row i - delay, which became known with the event time of
row i. The malformed records stand at even distances among them. After the last event the labels still due follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from streamml.demo.datasets import Dataset, Row
from streamml.demo.malformed import Malformed, malformed_events, malformed_labels
from streamml.engine.catalog import Catalog
from streamml.errors import StreammlError
from streamml.records import Role
from streamml.runtime.produce import Message
from streamml.topology import Topology


@dataclass(frozen=True)
class Script:
    """The messages in order; `rows` events and as many labels are valid, the others are `malformed` on purpose."""

    messages: Sequence[Message]
    rows: int
    malformed: Sequence[Malformed]


def check_delay(topology: Topology, dataset: Dataset, delay: int) -> None:
    """Raises StreammlError if labels `delay` rows late would come after the topology's horizon, and not count."""
    horizon = int(topology.feedback.horizon.total_seconds() * 1000)
    if delay * dataset.step_ms > horizon:
        raise StreammlError(
            f"labels {delay} rows late come after the horizon of {topology.feedback.horizon}, and would not count: "
            f"--delay may be {horizon // dataset.step_ms} at most"
        )


def write_script(
    topology: Topology, catalog: Catalog, dataset: Dataset, rows: Sequence[Row], delay: int, now: int
) -> Script:
    """The script of a run; `now` is in ms since the epoch."""
    writer = _Writer(topology, catalog)
    events = [writer.event(row) for row in rows]
    labels = [writer.label(row, _known(rows, number, delay, dataset)) for number, row in enumerate(rows)]
    bad = writer.malformed(rows[0], now)
    due = {(number + 1) * len(rows) // (len(bad) + 1): one for number, one in enumerate(bad)}
    messages: list[Message] = []
    for number in range(len(rows) + delay):
        if number in due:
            messages.append(Message(topology.topic(due[number].role), b"malformed-%d" % number, due[number].value))
        if number < len(rows):
            messages.append(events[number])
        if 0 <= number - delay < len(rows):
            messages.append(labels[number - delay])
    return Script(messages, len(rows), bad)


def _known(rows: Sequence[Row], number: int, delay: int, dataset: Dataset) -> int:
    """When the label of a row became known: the event time of the row `delay` later, or where that would be."""
    later = number + delay
    return rows[later].time if later < len(rows) else rows[number].time + delay * dataset.step_ms


class _Writer:
    """Encodes as the topology says that its outside writers do."""

    def __init__(self, topology: Topology, catalog: Catalog) -> None:
        self._topology = topology
        self._catalog = catalog
        kinds = {field["name"]: field["type"] for field in catalog.schema("feedback")["fields"]}
        self._id_is_text = kinds[topology.feedback.id] == "string"

    def event(self, row: Row) -> Message:
        key = str(row.event[self._topology.events.id]).encode()
        return Message(self._topology.topic("events"), key, self._encode("events", row.event))

    def label(self, row: Row, known: int) -> Message:
        value = self._label(row, known)
        key = str(value[self._topology.feedback.id]).encode()
        return Message(self._topology.topic("feedback"), key, self._encode("feedback", value))

    def malformed(self, row: Row, now: int) -> list[Malformed]:
        events = malformed_events(self._topology, lambda event: self._encode("events", event), row.event, now)
        labels = malformed_labels(
            self._topology, lambda label: self._encode("feedback", label), self._label(row, row.time)
        )
        return [*events, *labels]

    def _label(self, row: Row, known: int) -> dict[str, Any]:
        feedback = self._topology.feedback
        id = str(row.event[self._topology.events.id])
        label = {feedback.id: id if self._id_is_text else int(id), feedback.label: row.label}
        return label if feedback.time is None else {**label, feedback.time: known}

    def _encode(self, role: Role, value: Mapping[str, Any]) -> bytes:
        source = self._topology.events if role == "events" else self._topology.feedback
        return orjson.dumps(dict(value)) if source.format == "json" else self._catalog.codec(role).encode(value)
