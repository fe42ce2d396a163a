"""What became of every event and label. Law: counted from the topics alone, each id by itself.

An event that was read ends either as one prediction or in the quarantine; an event that was predicted and whose label
came in time ends as one example, which is the label, the prediction and the features as they stand in their own topics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from streamml.agents.quarantine import REASON
from streamml.engine.catalog import Catalog
from streamml.errors import DecodeError
from streamml.records import Record, Role
from streamml.schemas import splice
from streamml.topology import Assume, Topology

Logs: TypeAlias = Mapping[Role, Sequence[Record]]
"""The records of each role, by partition and offset."""

ROLES = ("events", "feedback", "labels", "features", "predictions", "examples", "quarantine", "metrics", "alerts")
"""The topics that an audit reads."""


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


class Known(NamedTuple):
    """A label as an outside writer sent it: its value, and when it became known (ms)."""

    value: Any
    time: int


@dataclass
class Flow:
    """The counts. Each list holds the keys or ids concerned, so that a message can name one."""

    events: int = 0
    labels: int = 0
    predictions: int = 0
    examples: int = 0
    quarantined: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    quarantined_twice: list[str] = field(default_factory=list)
    changed_in_quarantine: list[str] = field(default_factory=list)
    lost_events: list[str] = field(default_factory=list)
    lost_labels: list[str] = field(default_factory=list)
    lost_examples: list[str] = field(default_factory=list)
    doubled_predictions: list[str] = field(default_factory=list)
    doubled_labels: list[str] = field(default_factory=list)
    doubled_examples: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    """Examples that are not, byte for byte, the label, prediction and features of their id, or not the label sent."""
    foreseen: list[str] = field(default_factory=list)
    """Predictions by a model that had learned the very label that it was to predict."""
    disordered: int = 0
    """Predictions that stand before that of an event earlier in the same partition of `events`."""
    unlabelled: int = 0
    """Events predicted whose label never came, or came after the horizon."""
    orphans: int = 0
    """Labels of ids that no event has."""

    @property
    def lost(self) -> int:
        return len(self.lost_events) + len(self.lost_labels) + len(self.lost_examples)

    @property
    def doubled(self) -> int:
        twice = (self.doubled_predictions, self.doubled_labels, self.doubled_examples, self.quarantined_twice)
        return sum(map(len, twice))


def follow(topology: Topology, catalog: Catalog, logs: Logs) -> Flow:
    """Follow every record of `logs` through the topology."""
    flow = Flow(
        events=len(logs["events"]),
        labels=len(logs["feedback"]),
        predictions=len(logs["predictions"]),
        examples=len(logs["examples"]),
        quarantined=len(logs["quarantine"]),
    )
    refused = _quarantine(flow, catalog, logs)
    asked = _events(flow, topology, catalog, logs["events"], refused)
    labels = _labels(flow, topology, catalog, logs, refused)
    said = Counter(record.key or b"" for record in logs["predictions"])
    wanted = Counter(asked.values())
    flow.lost_events += _names((wanted - said).elements())
    flow.doubled_predictions += _names((said - wanted).elements())
    flow.disordered = _disorder(asked, logs["predictions"])
    _examples(flow, topology, catalog, logs, wanted, said, labels)
    return flow


def _quarantine(flow: Flow, catalog: Catalog, logs: Logs) -> set[Place]:
    """The places of the records that were refused."""
    sources = {
        Place(record.topic, record.partition, record.offset): record
        for role in ("events", "feedback", "labels")
        for record in logs[role]
    }
    refused: set[Place] = set()
    decode = catalog.codec("quarantine").decode
    for record in logs["quarantine"]:
        reason = decode(dict(record.headers)[REASON])
        place = Place(reason["topic"], reason["partition"], reason["offset"])
        flow.rules[reason["rule"]] += 1
        if place in refused:
            flow.quarantined_twice.append(_at(place))
        refused.add(place)
        source = sources.get(place)
        if source is None or (source.key, source.value) != (record.key, record.value):
            flow.changed_in_quarantine.append(_at(place))
    return refused


def _events(
    flow: Flow, topology: Topology, catalog: Catalog, events: Sequence[Record], refused: set[Place]
) -> dict[Place, bytes]:
    """The id of each event that must have been predicted, by its place; what is unreadable and not refused is lost."""
    read, name = catalog.events.read, topology.events.id
    asked: dict[Place, bytes] = {}
    for record in events:
        place = Place(record.topic, record.partition, record.offset)
        if place in refused:
            continue
        try:
            asked[place] = str(read(record.value)[name]).encode()
        except DecodeError:
            flow.lost_events.append(_at(place))
    return asked


def _labels(flow: Flow, topology: Topology, catalog: Catalog, logs: Logs, refused: set[Place]) -> dict[bytes, Known]:
    """The first valid label of each id; each must stand in `labels` as often as it was sent."""
    source, read = topology.feedback, catalog.feedback.read
    labels: dict[bytes, Known] = {}
    sent: Counter[bytes] = Counter()
    for record in logs["feedback"]:
        place = Place(record.topic, record.partition, record.offset)
        if place in refused:
            continue
        try:
            label = read(record.value)
        except DecodeError:
            flow.lost_labels.append(_at(place))
            continue
        key = str(label[source.id]).encode()
        time = record.timestamp if source.time is None else label[source.time]
        labels.setdefault(key, Known(label[source.label], time))
        sent[key] += 1
    taken = Counter(record.key or b"" for record in logs["labels"])
    flow.lost_labels += _names((sent - taken).elements())
    flow.doubled_labels += _names((taken - sent).elements())
    return labels


def _disorder(asked: Mapping[Place, bytes], predictions: Sequence[Record]) -> int:
    """How many predictions stand out of the order of the events, within a partition of either."""
    stands = {record.key or b"": (record.partition, record.offset) for record in predictions}
    latest: dict[tuple[int, int], int] = {}
    disorder = 0
    for place, key in asked.items():
        if key in stands:
            partition, offset = stands[key]
            lane = (place.partition, partition)
            disorder += latest.get(lane, -1) > offset
            latest[lane] = max(latest.get(lane, -1), offset)
    return disorder


def _examples(
    flow: Flow,
    topology: Topology,
    catalog: Catalog,
    logs: Logs,
    wanted: Counter[bytes],
    said: Counter[bytes],
    labels: Mapping[bytes, Known],
) -> None:
    parts = [first_by_key(logs[role]) for role in ("labels", "predictions", "features")]
    horizon = int(topology.feedback.horizon.total_seconds() * 1000)
    features = parts[2]
    due = {
        key
        for key, label in labels.items()
        if key in wanted and key in said and key in features and label.time <= features[key].timestamp + horizon
    }
    held = Counter(record.key or b"" for record in logs["examples"])
    flow.lost_examples += _names(key for key in due if key not in held)
    flow.doubled_examples += _names((held - Counter(held.keys())).elements())
    flow.unlabelled = len(wanted.keys() - due)
    flow.orphans = sum(key not in wanted for key in labels)

    header, served = catalog.codec("examples").header, catalog.examples.served
    assumes = isinstance(topology.feedback.missing, Assume)
    for index, record in enumerate(logs["examples"]):
        key, value = record.key or b"", record.value or b""
        label, prediction = served(value)
        if (sent := labels.get(key)) is not None or not assumes:
            pieces = [part[key].value or b"" for part in parts if key in part]
            whole = len(pieces) == len(parts) and splice(header, *pieces) == value
            if not whole or sent is None or sent.value != label:
                flow.altered += _names([key])
        if prediction["position"] > index:
            flow.foreseen += _names([key])


def first_by_key(records: Iterable[Record]) -> dict[bytes, Record]:
    """The first record of each key: the one that counts where an id comes twice."""
    found: dict[bytes, Record] = {}
    for record in records:
        found.setdefault(record.key or b"", record)
    return found


def _names(keys: Iterable[bytes]) -> list[str]:
    return [key.decode(errors="replace") for key in keys]


def _at(place: Place) -> str:
    return f"{place.topic}[{place.partition}]@{place.offset}"
