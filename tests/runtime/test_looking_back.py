"""The newest windows and snapshots: what the whole log says, read from its end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from river import naive_bayes
from support.kafka import create_topics, produce
from support.rebuilding import feed, shelf_of
from support.tiny import tiny

from streamml import Model
from streamml.models import Lineage
from streamml.records import LogRecord, Record
from streamml.runtime.connection import Connection
from streamml.runtime.looking_back import AnySnapshot, Snapshots, Windows, by_lineage, look_back
from streamml.snapshots import key_of
from streamml.testing import Driver

KEY = key_of(b"secret", "back")


@pytest.fixture(scope="module")
def driver() -> Driver:
    made = Driver(tiny("back"), signing_key=KEY)
    feed(made, range(70))
    return made


def windows(driver: Driver, records: Sequence[Record], wanted: Sequence[str] = ("lr", "nb")) -> Windows:
    look = Windows(driver.catalog.codec("metrics"), driver.roster.lineages, wanted)
    for record in records:
        look.take(record)
    return look


def snapshots(driver: Driver, records: Sequence[Record], wanted: Sequence[str] = ("lr", "nb")) -> Snapshots:
    look = Snapshots(driver.catalog.codec("models"), KEY, driver.roster.lineages, wanted)
    for record in records:
        look.take(record)
    return look


def test_the_newest_window_of_each_model_is_found_and_no_report(driver: Driver) -> None:
    look = windows(driver, driver.records("metrics"))
    assert {name: window["window"] for name, window in look.found.items()} == {"lr": 6, "nb": 6}
    assert look.done
    assert not windows(driver, ()).done
    assert not windows(driver, driver.records("metrics"), ("lr", "nb", "lr~1")).done
    record = driver.records("metrics")[0]
    garbage = LogRecord(record.topic, 0, 999, 0, b"lr/7", b"garbage", ())
    assert windows(driver, [*driver.records("metrics"), garbage]).found == look.found


def test_windows_and_snapshots_of_another_definition_are_not_the_models_own(driver: Driver) -> None:
    other = tiny("back", models=(driver.topology.models[0], Model("nb", naive_bayes.ComplementNB)))
    lineages = {m.name: Lineage.of(m, other.target) for m in other.models}
    look = Windows(driver.catalog.codec("metrics"), lineages, lineages)
    for record in driver.records("metrics"):
        look.take(record)
    assert (list(look.found), look.done) == (["lr"], False)
    assert {name: len(held) for name, held in by_lineage(shelf_of(driver, KEY), lineages).items()} == {"lr": 3, "nb": 0}


def test_the_newest_snapshot_of_each_model_is_found(driver: Driver) -> None:
    look = snapshots(driver, driver.records("models"))
    assert ({name: start.position for name, start in look.found.items()}, look.done) == ({"lr": 60, "nb": 60}, True)
    assert not snapshots(driver, driver.records("models")[:1]).done
    furthest = AnySnapshot(driver.catalog.codec("models"), KEY)
    assert not furthest.done
    for record in driver.records("models"):
        furthest.take(record)
    assert furthest.found is not None
    assert (furthest.found.position, furthest.done) == (60, True)


def test_what_is_not_signed_is_not_believed(driver: Driver) -> None:
    look = AnySnapshot(driver.catalog.codec("models"), key_of(b"another", "back"))
    for record in driver.records("models"):
        look.take(record)
    assert not look.done


class Numbers:
    """A look that counts the records of its span, and wants those with a certain key."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted, self.taken, self.done = wanted, list[int](), False

    def take(self, record: Record) -> None:
        self.taken.append(record.offset)
        self.done = self.done or record.key == self._wanted


@pytest.mark.kafka
async def test_it_goes_back_only_as_far_as_it_takes(kafka: str, app_name: str) -> None:
    create_topics(kafka, {app_name: 1})
    where = Connection(kafka)
    assert (await look_back(where, app_name, lambda: Numbers(b"0"), (5, 20))).taken == []
    produce(kafka, app_name, [(b"%d" % n, b"v") for n in range(100)])
    for wanted, first in ((b"97", 95), (b"85", 80), (b"3", 40), (b"never", 40)):
        look = await look_back(where, app_name, partial(Numbers, wanted), (5, 20, 60))
        assert look.taken == list(range(first, 100)), wanted
    look = await look_back(where, app_name, lambda: Numbers(b"never"), (5, 1_000, 10_000))
    assert look.taken == list(range(100))
