"""Models rebuilt from the Driver's logs, as the runtime does it from Kafka's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streamml.engine.rebuild import Replay
from streamml.engine.starts import Shelf, Start, assemble, starts
from streamml.models import Fold, Lineage
from streamml.testing import Driver
from support.tiny import event, label


class Again(NamedTuple):
    """A model rebuilt, where that began, and how many examples it took."""

    fold: Fold
    start: Start
    replayed: int


def feed(driver: Driver, numbers: range) -> None:
    """Events and then their labels."""
    for number in numbers:
        driver.produce("events", event(number))
    driver.run()
    for number in numbers:
        driver.produce("feedback", label(number))
    driver.run()


def values(driver: Driver) -> list[bytes | None]:
    return [record.value for record in driver.records("examples")]


def shelf_of(driver: Driver, key: bytes | None = None) -> Shelf:
    shelf = Shelf(driver.catalog.codec("models").decode, key)
    for record in driver.records("models"):
        shelf.take(record)
    return shelf


def again(
    driver: Driver, lineage: Lineage, position: int, lineages: Mapping[str, Lineage] | None = None, first: int = 0
) -> Again:
    """`lineage` at `position` from the nearest start; `first` is the first offset of `examples` that is left."""
    start = starts(shelf_of(driver), lineage, lineages or {lineage.name: lineage}, position, first)[0]
    models = driver.records("models")
    decode = driver.catalog.codec("models").decode
    snapshot = assemble([models[at] for at in start.chunks], decode, None) if start.header is not None else None
    examples = values(driver)[start.offset :]
    replay = Replay(lineage, driver.topology.target, driver.catalog.examples, examples, start, snapshot)
    fold = replay.at(position)
    return Again(fold, start, replay.replayed)


def whole(driver: Driver, lineage: Lineage) -> Replay:
    """The same from the log alone."""
    return Replay(lineage, driver.topology.target, driver.catalog.examples, values(driver))
