"""The Driver as its users use it: events in, what came of them out, a crash whenever one likes."""

from __future__ import annotations

from typing import Any

from river import linear_model, naive_bayes
from support.tiny import event, label, tiny

from streamml import Model
from streamml.engine.rebuild import Replay
from streamml.testing import Driver

BAD = {"7", "12", "13"}


Bayes: Any = naive_bayes.GaussianNB


class Fussy(Bayes):  # type: ignore[misc]  # River's signatures are loose
    """Raises on examples whose temperature is a certain one, after it has changed its state."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        super().learn_one(x, y)
        if x["temperature"] in {event(int(number))["temperature"] for number in BAD}:
            raise ArithmeticError("too hot to handle")


def feed(driver: Driver, numbers: range) -> None:
    for number in numbers:
        driver.produce("events", event(number))
    driver.run()
    for number in numbers:
        driver.produce("feedback", label(number))
    driver.run()


def test_a_promotion_changes_who_serves_and_a_crash_does_not_undo_it() -> None:
    driver = Driver(tiny("promoted"))
    feed(driver, range(5))
    command = {
        "kind": "command",
        "action": "promote",
        "model": "nb",
        "reason": "it errs less",
        "author": "ann",
        "at": 0,
    }
    driver.produce("control", command)
    driver.run()
    feed(driver, range(5, 10))
    driver.crash()
    feed(driver, range(10, 15))
    assert [p["model"] for p in driver.read("predictions")] == ["lr"] * 5 + ["nb"] * 10


def test_an_example_that_cannot_be_learned_is_skipped_and_every_prediction_can_be_made_again() -> None:
    driver = Driver(tiny("fussy", models=(Model("fussy", Fussy), Model("lr", linear_model.LogisticRegression))))
    feed(driver, range(20))
    driver.crash()
    feed(driver, range(20, 40))
    predictions = driver.read("predictions")
    assert {p["position"] for p in predictions[20:]} == {20}
    assert any("could not learn example" in line for line in driver.reports)

    examples = [record.value for record in driver.records("examples") if record.value is not None]
    replay = Replay(driver.topology.models[0], driver.topology.target, driver.catalog.examples, examples)
    for said, seen in zip(predictions, driver.read("features"), strict=True):
        assert replay.predict(said["position"], seen["values"]) == said["output"]


def test_partitions_follow_from_ids() -> None:
    driver = Driver(tiny("wide", partitions=3))
    feed(driver, range(30))
    features, predictions = driver.records("features"), driver.records("predictions")
    assert {(r.partition, r.key) for r in features} == {(r.partition, r.key) for r in predictions}
    assert len({r.partition for r in features}) == 3
    assert len(driver.read("examples")) == 30


def test_a_signed_snapshot_is_used_and_one_signed_otherwise_is_not() -> None:
    driver = Driver(tiny("signed"), signing_key=b"ours")
    feed(driver, range(25))
    driver.crash()
    assert not driver.reports
    assert driver.live.position("lr") == 25
    driver._key = b"another"
    driver.crash()
    assert driver.live.position("lr") == 25
    assert any("signature" in line or "signed" in line for line in driver.reports)
