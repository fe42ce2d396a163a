"""The slices of a gate in the results of a learner: of every window, whatever restarts in between."""

from __future__ import annotations

from typing import Any

import pytest
from support.tiny import event, label, tiny

from streamml import Gate, Slice, Snapshots
from streamml.agents.learn import Learn
from streamml.agents.live import LiveModels
from streamml.models import Lineage
from streamml.records import LogRecord, TopicPartition, Write
from streamml.testing import Driver

TINY = tiny("slices", window=10)
EXAMPLES = TopicPartition(TINY.topic("examples"), 0)
GATE = Gate(slices=(Slice("temperature"), Slice("pressure")))


@pytest.fixture(scope="module")
def driver() -> Driver:
    """A log of 40 examples."""
    driver = Driver(TINY)
    for number in range(40):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
    driver.run()
    return driver


def learner(driver: Driver, gate: Gate | None) -> Learn:
    catalog, lineage = driver.catalog, Lineage.of(TINY.models[0], TINY.target)
    return Learn(
        lineage,
        {lineage.name: lineage},
        TINY.target,
        TINY.window,
        Snapshots(every=15),
        EXAMPLES,
        catalog.examples,
        catalog.codec("metrics"),
        catalog.codec("models"),
        LiveModels("lr"),
        None,
        set(),
        driver.reports.append,
        gate,
    )


def snapshots(writes: list[Write]) -> list[LogRecord]:
    topic = TINY.topic("models")
    return [LogRecord(topic, 0, at, write[2], write[0], write[1], []) for at, write in enumerate(writes)]


def slices(driver: Driver, writes: list[Write]) -> list[dict[str, Any]]:
    decode = driver.catalog.codec("metrics").decode
    return [decode(value)["slices"] for _, value, _, _ in writes]


def test_each_window_tells_of_its_examples_by_value(driver: Driver) -> None:
    agent = learner(driver, GATE)
    agent.resume({})
    metrics = agent.step({"examples": driver.records("examples")}, 0)["metrics"]
    decode = driver.catalog.codec("metrics").decode
    rows = [driver.catalog.examples.learnable(record.value) for record in driver.records("examples")]
    for (_, value, _, _), first in zip(metrics, range(0, 40, 10), strict=True):
        record = decode(value)
        expected: dict[str, list[float]] = {}
        for (_, x), loss in zip(rows[first : first + 10], record["losses"], strict=True):
            for field in ("temperature", "pressure"):
                expected.setdefault(f"{field}={x[field]:g}", []).append(1.0 if loss is None else loss)
        assert record["slices"] == {
            name: {"count": len(losses), "loss": pytest.approx(sum(losses) / len(losses))}
            for name, losses in expected.items()
        }


def test_a_learner_that_goes_on_from_a_snapshot_says_the_same(driver: Driver) -> None:
    examples = driver.records("examples")
    whole = learner(driver, GATE)
    whole.resume({})
    writes = whole.step({"examples": examples}, 0)
    assert {name.partition("=")[0] for name in slices(driver, writes["metrics"])[0]} == {"temperature", "pressure"}
    again = learner(driver, GATE)
    # The first snapshot is that at 15, in the middle of the second window.
    again.restore([r for r in snapshots(writes["models"]) if (r.key or b"").startswith(b"lr/15/")])
    assert again.resume({})[EXAMPLES] == 15
    rest = again.step({"examples": examples[15:]}, 0)["metrics"]
    assert rest == writes["metrics"][1:]


def test_a_gate_that_is_new_has_no_slices_of_the_window_that_it_came_in(driver: Driver) -> None:
    examples = driver.records("examples")
    before = learner(driver, None)
    before.resume({})
    writes = before.step({"examples": examples[:18]}, 0)
    assert slices(driver, writes["metrics"]) == [{}]
    after = learner(driver, GATE)
    after.restore(snapshots(writes["models"]))
    assert after.resume({})[EXAMPLES] == 15
    found = slices(driver, after.step({"examples": examples[15:]}, 0)["metrics"])
    assert [bool(window) for window in found] == [False, True, True]
    # And a gate that is gone takes nothing with it.
    gone = learner(driver, None)
    gone.restore(snapshots(writes["models"]))
    assert gone.resume({})[EXAMPLES] == 15
