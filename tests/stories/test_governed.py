"""The life of a model: it races, is examined, promoted, pinned, forked and rolled back, and every prediction of it can
be made again."""

from __future__ import annotations

from random import Random
from typing import Any

from river import dummy, linear_model, preprocessing
from support.tiny import event, label, tiny

from streamml import Gate, Limits, Model, Slice, Topology
from streamml.agents.learn import Learn
from streamml.agents.live import answer
from streamml.engine.rebuild import Replay
from streamml.models import Lineage
from streamml.testing import Driver

MODELS = (
    Model("prior", dummy.PriorClassifier),
    Model("lr", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression()),
)


def topology(**changes: Any) -> Topology:
    return tiny("governed", **{"models": MODELS, "gate": Gate(minimum=100), "detectors": (), **changes})


def feed(driver: Driver, start: int, end: int, batch: int = 5) -> None:
    """Events with their labels, a few at a time, so that the positions that serve differ."""
    for first in range(start, end, batch):
        for number in range(first, min(first + batch, end)):
            driver.produce("events", event(number))
        driver.run()
        for number in range(first, min(first + batch, end)):
            driver.produce("feedback", label(number))
        driver.run()


def command(driver: Driver, action: str, model: str | None = None, **fields: Any) -> dict[str, Any]:
    """What `govern` answers to it."""
    empty = {"position": None, "parent": None, "from_position": None, "to_position": None, "command": None}
    entry = {"kind": "command", "action": action, "model": model, "accepted": None, "reason": "a test", "author": "ann"}
    offset = driver.produce("control", {**entry, **empty, "evidence": {}, "at": driver.clock(), **fields}).offset
    driver.run()
    return next(c for c in driver.read("control") if c["command"] == offset)


def decisions(driver: Driver) -> list[tuple[str, str, bool]]:
    return [(c["action"], c["model"], c["accepted"]) for c in driver.read("control") if c["kind"] == "decision"]


def served(driver: Driver) -> list[tuple[str, int]]:
    return [(p["model"], p["position"]) for p in driver.read("predictions")]


def test_a_better_challenger_takes_over_by_itself_and_serves_from_then_on() -> None:
    driver = Driver(topology())
    feed(driver, 0, 400)
    assert decisions(driver) == [("promote", "prior", True), ("validate", "lr", True), ("promote", "lr", True)]
    promoted = driver.read("control")[-1]
    assert promoted["evidence"]["validation.different"] == 0
    assert promoted["evidence"]["validation.compared"] > 0
    names = [model for model, _ in served(driver)]
    change = names.index("lr")
    assert set(names[:change]) == {"prior"}
    assert set(names[change:]) == {"lr"}
    assert change >= 100


def test_a_model_beyond_its_limits_does_not_serve() -> None:
    driver = Driver(topology(gate=Gate(minimum=100, limits=Limits(size=10))))
    feed(driver, 0, 300)
    refused = [c for c in driver.read("control") if c["action"] == "promote" and not c["accepted"]]
    assert refused
    assert all("the limit is 10" in c["reason"] for c in refused)
    assert {model for model, _ in served(driver)} == {"prior"}


def test_a_pinned_champion_serves_from_its_position_and_the_model_learns_on() -> None:
    driver = Driver(topology(gate=None))
    feed(driver, 0, 60)
    assert command(driver, "rollback", "lr", position=33)["accepted"]
    feed(driver, 60, 100)
    assert set(served(driver)[60:]) == {("lr", 33)}
    assert driver.live.position("lr") == 100
    staleness = driver.read("predictions")[-1]["staleness"]
    assert staleness == 95 - 33, "what it has not learned is told with each prediction"
    driver.crash()
    feed(driver, 100, 110)
    assert set(served(driver)[100:]) == {("lr", 33)}
    assert command(driver, "promote", "lr")["accepted"]
    feed(driver, 110, 120)
    assert served(driver)[-1] == ("lr", 115)


def test_a_paused_model_stays_where_it_is_until_it_is_resumed() -> None:
    driver = Driver(topology(gate=None))
    feed(driver, 0, 20)
    assert command(driver, "pause", "lr")["accepted"]
    feed(driver, 20, 40)
    assert driver.live.position("lr") == -1, "it is not at hand where it does not learn"
    driver.crash()
    feed(driver, 40, 50)
    assert command(driver, "resume", "lr")["accepted"]
    driver.run()
    assert driver.live.position("lr") == 50
    windows = [m["window"] for m in driver.read("metrics") if m["model"] == "lr"]
    assert windows == [0, 1, 2, 3, 4], "none is missing, none is there twice"
    assert not command(driver, "retire", "prior")["accepted"]
    assert command(driver, "retire", "lr")["accepted"]
    feed(driver, 50, 60)
    assert max(m["window"] for m in driver.read("metrics") if m["model"] == "lr") == 4


def test_a_fork_is_the_model_that_never_saw_the_excluded_examples() -> None:
    driver = Driver(topology(gate=None))
    feed(driver, 0, 100)
    asked = command(driver, "exclude", "lr", from_position=45, to_position=80)
    assert (asked["accepted"], asked["model"], asked["parent"]) == (True, "lr~1", "lr")
    feed(driver, 100, 120)
    fork = driver.live.get("lr~1")
    assert fork is not None
    assert (fork.position, fork.digest) == (120, driver.roster.lineages["lr~1"].digest)
    never = Lineage.of(MODELS[1], driver.topology.target).new(driver.topology.target)
    for position, record in enumerate(driver.records("examples")):
        if not 45 <= position < 80:
            y, x = driver.catalog.examples.learnable(record.value)
            never.learn(x, y)
    rows = [{"pressure": 1_000.0 + n % 23, "temperature": float(n % 31)} for n in range(500)]
    assert [repr(fork.predict(dict(x))) for x in rows] == [repr(never.predict(dict(x))) for x in rows]
    begun = [m["first_position"] for m in driver.read("metrics") if m["model"] == "lr~1"]
    assert begun[0] == 40, "it began with the snapshot of its parent before they part, not at nothing"
    assert command(driver, "promote", "lr~1")["accepted"]
    driver.crash()
    feed(driver, 120, 130)
    last = driver.read("predictions")[-1]
    assert (last["model"], last["digest"], last["position"]) == ("lr~1", fork.digest, 125)


def test_a_fork_that_excludes_the_beginning_needs_no_example_of_it() -> None:
    """As where retention has deleted them: any snapshot says at which offset a position stands."""
    driver = Driver(topology(gate=None))
    feed(driver, 0, 100)
    asked = command(driver, "exclude", "lr", from_position=0, to_position=65)
    assert asked["model"] == "lr~1"
    [learner] = driver.agents("learn:lr~1")
    assert isinstance(learner, Learn)
    feed(driver, 100, 140)
    windows = [(m["window"], m["first_position"], m["count"]) for m in driver.read("metrics") if m["model"] == "lr~1"]
    assert windows[0] == (6, 60, 10), "it began at the snapshot before the end of the range"
    assert windows[-1] == (13, 130, 10)
    never = Lineage.of(MODELS[1], driver.topology.target).new(driver.topology.target)
    for record in driver.records("examples")[65:]:
        y, x = driver.catalog.examples.learnable(record.value)
        never.learn(x, y)
    rows = [{"pressure": 1_000.0 + n % 23, "temperature": float(n % 31)} for n in range(100)]
    assert [repr(learner.fold.predict(dict(x))) for x in rows] == [repr(never.predict(dict(x))) for x in rows]
    assert learner.fold.position == 140


def test_every_prediction_across_a_whole_life_can_be_made_again() -> None:
    driver = Driver(topology())
    feed(driver, 0, 300)
    command(driver, "exclude", "lr", from_position=100, to_position=160)
    feed(driver, 300, 340)
    command(driver, "promote", "lr~1")
    driver.crash()
    feed(driver, 340, 380)
    command(driver, "rollback")
    feed(driver, 380, 420)
    command(driver, "rollback", "lr~1", position=317)
    driver.crash()
    feed(driver, 420, 460)
    predictions = driver.read("predictions")
    assert {p["model"] for p in predictions} == {"prior", "lr", "lr~1"}
    features = {f["id"]: f["values"] for f in driver.read("features")}
    values = [record.value or b"" for record in driver.records("examples")]
    for prediction in Random(7).sample(predictions, 200):
        lineage = driver.roster.lineages[prediction["model"]]
        fold = Replay(lineage, driver.topology.target, driver.catalog.examples, values).at(prediction["position"])
        assert fold.digest == prediction["digest"]
        again = answer(fold, features[prediction["id"]])
        assert repr(again) == repr(prediction["output"])


def test_slices_of_the_traffic_are_measured_and_stand_in_the_evidence() -> None:
    driver = Driver(topology(gate=Gate(minimum=100, slices=(Slice("pressure", harm=0.5, minimum=5),))))
    feed(driver, 0, 300)
    windows = [m for m in driver.read("metrics") if m["model"] == "lr"]
    assert sum(found["count"] for found in windows[-1]["slices"].values()) == 10
    assert all(name.startswith("pressure=10") for name in windows[-1]["slices"])
    asked = next(c for c in driver.read("control") if c["action"] == "validate")
    harms = {name: value for name, value in asked["evidence"].items() if name.endswith(".harm")}
    assert len(harms) > 5
    assert all(name.startswith("slice.pressure=10") for name in harms)
    assert min(harms.values()) < 0, "lr is better than the prior for some pressure"
