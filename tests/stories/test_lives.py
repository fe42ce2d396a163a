"""Whole lives of a topology, each told twice: on the Driver and on real Kafka. What holds here holds there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from support.tiny import event, label, tiny
from support.world import KafkaWorld, MemoryWorld, World

from streamml import Assume, Topology
from streamml.engine.rebuild import Replay

Open = Callable[[Topology], World]


@pytest.fixture(params=["driver", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> Iterator[Open]:
    opened: list[World] = []

    def open_world(topology: Topology) -> World:
        if request.param == "driver":
            opened.append(MemoryWorld(topology))
        else:
            opened.append(KafkaWorld(topology, request.getfixturevalue("kafka")))
        return opened[-1]

    yield open_world
    for each in opened:
        each.close()


def feed(world: World, numbers: range, labels: bool = True) -> None:
    """Events and, once all are predicted, their labels."""
    for number in numbers:
        world.produce("events", event(number))
    world.until("predictions", numbers.stop)
    if labels:
        for number in numbers:
            world.produce("feedback", label(number))
        world.until("examples", numbers.stop)
    world.settle()


def test_a_model_learns_from_its_own_predictions(world: Open, app_name: str) -> None:
    here = world(tiny(app_name))
    feed(here, range(30))
    feed(here, range(30, 60), labels=False)
    predictions = here.until("predictions", 60)
    assert [p["id"] for p in predictions] == [str(n) for n in range(60)]
    assert {p["model"] for p in predictions} == {"lr"}
    assert {p["position"] for p in predictions[:30]} == {0}
    assert {p["position"] for p in predictions[30:]} == {30}
    right = sum(p["output"]["label"] == label(int(p["id"]))["rain"] for p in predictions[30:])
    assert right > 25

    # Anyone can make that prediction again.
    examples = [r.value for r in here.raw("examples")]
    replay = Replay(here.topology.models[0], here.topology.target, here.catalog.examples, examples)
    features = here.until("features", 60)
    for seen, said in zip(features, predictions, strict=True):
        assert replay.predict(said["position"], seen["values"]) == said["output"]


def test_bad_records_are_set_aside_untouched_and_the_rest_goes_on(world: Open, app_name: str) -> None:
    here = world(tiny(app_name))
    bad = [b"", b"\x07garbage", b"\x00\x00\x00\x00\x01" + b"x" * 20, b"\x00" * 1_000_000]
    for number, junk in enumerate(bad):
        here.produce("events", junk)
        here.produce("events", event(number))
    here.produce("events", {**event(99), "temperature": 1e308})
    here.produce("events", {**event(98), "temperature": float("nan")})
    here.produce("events", {**event(97), "temperature": 61.0})
    here.until("predictions", 4)
    here.wait("quarantine", 7)
    refused = here.raw("quarantine")
    assert [r.value for r in refused[:4]] == bad
    assert len(refused) == 7
    for record in refused:
        why = here.catalog.codec("quarantine").decode(dict(record.headers)["streamml.quarantine"])
        assert why["topic"] == f"{app_name}.events"
        assert why["agent"] == "validate"
    last = here.catalog.codec("quarantine").decode(dict(refused[-1].headers)["streamml.quarantine"])
    assert (last["rule"], last["field"]) == ("range", "temperature")
    assert len(here.until("features", 4)) == 4


def test_labels_late_doubled_and_without_an_event_each_have_their_policy(world: Open, app_name: str) -> None:
    here = world(tiny(app_name))
    for number in range(3):
        here.produce("events", event(number))
    here.until("predictions", 3)
    here.settle()
    here.produce("feedback", label(0))
    here.produce("feedback", label(0, rain=True))
    here.produce("feedback", label(1, after=25))
    here.produce("feedback", {**label(2), "id": "nobody"})
    here.settle()
    # The orphan waits for its event until the events have passed it.
    here.produce("events", event(60))
    here.wait("quarantine", 3)
    rules = [
        here.catalog.codec("quarantine").decode(dict(r.headers)["streamml.quarantine"])["rule"]
        for r in here.raw("quarantine")
    ]
    assert rules == ["doubled_label", "late", "orphan"]
    assert [e["label"]["id"] for e in here.until("examples", 1)] == ["0"]


def test_a_label_that_never_came_can_be_assumed(world: Open, app_name: str) -> None:
    topology = tiny(app_name)
    here = world(replace(topology, feedback=replace(topology.feedback, missing=Assume(False))))
    here.produce("events", event(0))
    here.produce("events", event(40))
    here.until("predictions", 2)
    here.settle()
    here.produce("feedback", label(40))
    examples = here.until("examples", 2)
    assert {e["label"]["id"]: e["label"]["value"] for e in examples} == {"0": False, "40": label(40)["rain"]}


def test_a_crash_loses_and_doubles_nothing(world: Open, app_name: str) -> None:
    here = world(tiny(app_name))
    feed(here, range(25))
    for number in range(25, 40):
        here.produce("events", event(number))
    here.until("predictions", 40)
    here.crash()
    for number in range(25, 40):
        here.produce("feedback", label(number))
    here.until("examples", 40)
    here.crash()
    feed(here, range(40, 50))
    examples = here.until("examples", 50)
    assert [e["label"]["id"] for e in examples] == [str(n) for n in range(50)]
    predictions = here.until("predictions", 50)
    assert len(predictions) == 50
    assert [p["position"] for p in predictions[40:]] == [40] * 10
    windows = [(m["model"], m["window"]) for m in here.until("metrics", 15) if m["losses"]]
    assert sorted(windows) == sorted((m, w) for m in ("lr", "nb", "served") for w in range(5))


def test_the_champion_can_be_changed_and_the_log_says_why(world: Open, app_name: str) -> None:
    here = world(tiny(app_name))
    [first] = here.until("control", 1)
    assert (first["kind"], first["action"], first["model"], first["accepted"]) == ("decision", "promote", "lr", True)
    command = {"kind": "command", "action": "promote", "reason": "it errs less", "author": "ann", "at": 0}
    here.produce("control", {**command, "model": "nb"})
    here.produce("control", {**command, "model": "xgboost"})
    decisions = [c for c in here.until("control", 5) if c["kind"] == "decision"][1:]
    assert [(d["model"], d["accepted"]) for d in decisions] == [("nb", True), ("xgboost", False)]
    assert decisions[1]["reason"] == "no model 'xgboost' in the topology; there are lr, nb"


def test_metrics_stand_beside_their_baselines(world: Open, app_name: str) -> None:
    here = world(tiny(app_name))
    feed(here, range(20))
    metrics = here.until("metrics", 6)
    for model in ("lr", "nb", "served"):
        first, second = [m for m in metrics if m["model"] == model]
        assert (first["window"], first["first_position"], second["first_position"]) == (0, 0, 10)
        assert second["count"] == 10
        assert set(second["baselines"]) == {"no_change", "prior"}
        assert len(second["losses"]) == 10
