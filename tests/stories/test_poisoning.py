"""The poisoning drill: flipped labels are noticed, excluded, and what serves then is the model that never saw them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from river import drift, naive_bayes
from support.elec2 import Row, label_of, rows

from streamml import ErrorDrift, Gate, Model, Topology, load_topology
from streamml.models import Fold
from streamml.testing import Driver

START, END, COUNT, AFTER = 6_000, 8_000, 9_000, 12_000
OTHER = {"UP": "DOWN", "DOWN": "UP"}


def electricity() -> Topology:
    return replace(
        load_topology("electricity"),
        name="drill",
        models=(Model("nb", naive_bayes.GaussianNB),),
        detectors=(ErrorDrift("error", drift.ADWIN),),
        gate=Gate(),
    )


def feed(driver: Driver, stream: list[Row], start: int, end: int) -> None:
    for first in range(start, end, 50):
        part = range(first, min(first + 50, end))
        for number in part:
            driver.produce("events", stream[number].event)
        driver.run()
        for number in part:
            row = stream[number]
            poisoned = START <= number < END
            driver.produce("feedback", label_of(row._replace(label=OTHER[row.label]) if poisoned else row, 1))
        driver.run()


def test_the_drill() -> None:
    stream = list(rows(AFTER))
    topology = electricity()
    driver = Driver(topology, max_records=2_000)
    feed(driver, stream, 0, COUNT)

    # It is noticed while it happens.
    opened = [a["position"] for a in driver.read("alerts") if a["kind"] in ("drift", "degradation")]
    assert any(START < position <= END for position in opened)

    # The range is excluded; the fork catches up and is promoted.
    for action, model, more in (
        ("exclude", "nb", {"from_position": START, "to_position": END}),
        ("promote", "nb~1", {}),
    ):
        empty = {"position": None, "parent": None, "from_position": None, "to_position": None, "command": None}
        entry: dict[str, Any] = {
            "kind": "command",
            "accepted": None,
            "reason": "flipped labels",
            "author": "ann",
            "evidence": {},
        }
        driver.produce("control", {**entry, **empty, "action": action, "model": model, "at": driver.clock(), **more})
        driver.run()
    feed(driver, stream, COUNT, AFTER)
    last = driver.read("predictions")[-1]
    assert (last["model"], last["position"]) == ("nb~1", AFTER - 50)

    # It is the model that never saw them: the same state, the same predictions, to the last bit.
    never = Fold.new(topology.models[0], topology.target)
    expected: dict[int, Any] = {}
    for number, row in enumerate(stream):
        if number >= COUNT and number % 50 == 0:
            expected |= {n: never.predict(dict(stream[n].x)) for n in range(number, min(number + 50, AFTER))}
        if not START <= number < END:
            never.learn(dict(row.x), row.label)
    said = {int(p["id"]): p["output"] for p in driver.read("predictions")}
    assert {n: repr(said[n]) for n in expected} == {n: repr(output) for n, output in expected.items()}
    fork, poisoned = driver.live.get("nb~1"), driver.live.get("nb")
    assert fork is not None
    assert poisoned is not None
    assert fork.dumps() == never.dumps() != poisoned.dumps()

    # And it is better for it.
    results = {m["model"]: m for m in driver.read("metrics") if m["window"] == AFTER // 1_000 - 1}
    assert results["nb~1"]["metrics"]["accuracy"] > results["nb"]["metrics"]["accuracy"]
