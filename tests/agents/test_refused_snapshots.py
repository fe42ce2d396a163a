"""A learner that finds on `models` what it must not use: the log is replayed, and who can act is told."""

from __future__ import annotations

from typing import Any

import pytest
from support.tiny import event, label, tiny

from streamml.snapshots import CHUNK, dumps, seal
from streamml.testing import Driver

KEY = b"ours"


def learned(key: bytes | None) -> Driver:
    driver = Driver(tiny("shop"), signing_key=key)
    for number in range(24):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
    driver.run()
    return driver


def forge(driver: Driver, position: int, payload: bytes, key: bytes | None = None, **header: Any) -> None:
    model = driver.live.get("lr")
    assert model is not None
    codec = driver.catalog.codec("models")
    place: dict[str, Any] = {"model": "lr", "digest": model.digest, "position": position, "offset": 24}
    for name, value in seal(payload, **place, at=1, key=key):
        changed = {**value, "header": {**value["header"], **header}}
        driver.logs.append("shop.models", 0, name.encode(), codec.encode(changed), 1)


def alerts(driver: Driver) -> list[tuple[str, float]]:
    return [(a["status"], a["value"]) for a in driver.read("alerts") if a["kind"] == "snapshots"]


def deleted(driver: Driver) -> set[bytes | None]:
    return {record.key for record in driver.records("models") if record.value is None}


@pytest.mark.parametrize(
    "payload",
    [b"", b"junk", dumps(1), dumps((1, 2)), dumps((1, 2, 3)), dumps((b"x", {}, [])), dumps((b"x", {}, ["a"]))],
)
def test_whatever_a_snapshot_holds_the_learner_goes_on_by_the_log(payload: bytes) -> None:
    driver = learned(None)
    forge(driver, 24, payload)
    driver.crash()
    driver.run()
    assert driver.live.position("lr") == 24
    assert len(driver.reports) == 1
    assert alerts(driver) == [("opened", 1)]


def test_many_are_told_in_few_lines_and_one_alert() -> None:
    driver = learned(KEY)
    for position in range(30, 50):
        forge(driver, position, b"junk", key=b"another")
    driver.crash()
    driver.run()
    assert driver.live.position("lr") == 24
    assert len(driver.reports) == 4
    assert driver.reports[0].startswith("shop.models[0]@")
    assert driver.reports[-1] == "shop.models[0]: 17 more snapshots refused"
    assert alerts(driver) == [("opened", 20)]


def test_an_unfinished_forgery_is_refused_at_its_first_chunk() -> None:
    driver = learned(KEY)
    forge(driver, 30, b"x" * (CHUNK + 1), chunks=1_000_000)
    driver.crash()
    driver.run()
    assert len(driver.reports) == 1
    assert alerts(driver) == [("opened", 1)]


def test_what_is_ahead_of_the_model_is_deleted_with_its_next_snapshot_and_not_told_again() -> None:
    driver = learned(KEY)
    forge(driver, 10**15, b"junk")
    driver.logs.append("shop.models", 0, b"lr/30/2000000000", b"junk", 1)
    driver.crash()
    driver.run()
    assert alerts(driver) == [("opened", 2)]
    for number in range(24, 44):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
    driver.run()
    assert {b"lr/%d/0" % 10**15, b"lr/30/2000000000"} <= deleted(driver)
    before = len(driver.reports)
    driver.crash()
    driver.run()
    assert driver.reports[before:] == []
    assert alerts(driver) == [("opened", 2)]


def test_after_an_upgrade_nobody_is_woken() -> None:
    driver = learned(None)
    forge(driver, 24, b"junk", environment={"python": "2.7"})
    driver.crash()
    driver.run()
    assert "of another environment" in driver.reports[0]
    assert alerts(driver) == []


def test_the_alert_closes_once_it_has_been_quiet() -> None:
    driver = learned(KEY)
    forge(driver, 30, b"junk")
    driver.crash()
    driver.run()
    driver.clock.advance(601_000)
    driver.run()
    assert [status for status, _ in alerts(driver)] == ["opened", "closed"]
