"""What an explanation says where things are missing, odd or hostile: each fact on its line, and nothing made up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from river import tree
from support.tiny import event, label, tiny

from streamml import Model
from streamml.agents.roster import Roster
from streamml.cli.explained import as_json, lines
from streamml.engine.explaining import in_force, seen_by_model
from streamml.engine.rebuild import Replay
from streamml.engine.starts import Start
from streamml.models.contributions import contributions
from streamml.records import LogRecord
from streamml.runtime.explaining import Again, Explanation, Told
from streamml.runtime.rebuilding import Rebuilt
from streamml.testing import Driver

EXCLUDED = {"parent": "lr", "from_position": 10, "to_position": 20, "position": None}
DECISION = {"kind": "decision", "accepted": True, "author": "ann", "reason": "bad labels", "at": 0, **EXCLUDED}


def told(record: LogRecord, value: Any) -> Told:
    return Told(record, value)


def explained(model: str = "lr") -> Explanation:
    """The last prediction of a life, by `model`."""
    grown = Model("tree", lambda: tree.HoeffdingTreeClassifier(grace_period=5, delta=0.5, tau=0.5))
    base = tiny("explained")
    models = tuple(sorted((*base.models, grown), key=lambda m: m.name != model))
    driver = Driver(replace(base, models=models))
    for number in range(60):
        driver.produce("events", event(number))
        driver.run()
        if number < 59:
            driver.produce("feedback", label(number))
    topology = driver.topology
    served, seen = driver.read("predictions")[-1], driver.read("features")[-1]
    records = [record.value for record in driver.records("examples")]
    roster = Roster(topology)
    lineage = roster.lineages[model]
    fold = Replay(lineage, topology.target, driver.catalog.examples, records).at(served["position"])
    x = seen_by_model(seen["values"])
    again = Again(Rebuilt(fold, Start(0, 0), fold.position), fold.predict(dict(x)), True, contributions(fold, x))
    control = [
        (record.offset, driver.catalog.codec("control").decode(record.value)) for record in driver.records("control")
    ]
    return Explanation(
        id="59",
        event=told(driver.records("events")[-1], event(59)),
        feedback=(),
        features=told(driver.records("features")[-1], seen),
        prediction=told(driver.records("predictions")[-1], served),
        label=None,
        example=None,
        position=None,
        doubles=0,
        force=in_force(topology, control, served["served_at"]),
        lineage=lineage,
        parent=None,
        again=again,
        problem=None,
    )


def text(found: Explanation) -> str:
    return "\n".join(lines(found))


def test_a_tree_is_shown_as_its_path() -> None:
    found = explained("tree")
    said = text(found).splitlines()
    start = next(n for n, line in enumerate(said) if line.startswith("why"))
    assert any("temperature ≤ " in line or "temperature > " in line for line in said[start:])
    assert "a leaf that has learned the weight " in said[-1]
    shown = json.loads(as_json(found))["contributions"]
    assert shown["kind"] == "tree"
    assert shown["turns"][0]["feature"] == "temperature"


def test_a_linear_model_is_shown_as_a_table() -> None:
    said = text(explained()).splitlines()
    start = next(n for n, line in enumerate(said) if line.startswith("why"))
    assert said[start].startswith("why         score of True ")
    assert said[start + 1].split() == ["feature", "value", "weight", "contribution"]
    assert {line.split()[0] for line in said[start + 2 :]} == {"temperature", "pressure", "intercept"}
    ends = {len(line) for line in said[start + 1 :]}
    assert len(ends) == 1


def test_another_model_says_that_it_shows_nothing() -> None:
    found = explained("nb")
    assert text(found).splitlines()[-1] == "why         this kind of model shows no contributions"
    assert json.loads(as_json(found))["contributions"] is None


def test_forks_and_decisions_are_told() -> None:
    found = explained()
    served: dict[str, Any] = {**found.prediction.value, "model": "lr~1"} if found.prediction else {}
    topology = tiny("explained")
    fork = {**DECISION, "action": "exclude", "model": "lr~1"}
    crown = {**DECISION, "action": "promote", "model": "lr~1", "position": 30, "parent": None}
    log = [(3, fork), (5, crown)]
    roster = Roster(topology)
    roster.apply(fork)
    assert found.prediction is not None
    forked = replace(
        found,
        prediction=replace(found.prediction, value=served),
        lineage=roster.lineages["lr~1"],
        parent="lr",
        force=in_force(topology, log, 10),
    )
    said = text(forked)
    assert "a fork of lr, without the positions 10 to 19" in said
    assert (
        "lr~1@30 when it was served: promote lr~1@30, control@5 of 1970-01-01T00:00:00.000Z by ann: bad labels" in said
    )
    assert "in force    exclude lr~1 (lr without 10 to 19), control@3 of" in said
    machine = json.loads(as_json(forked))
    assert (machine["model"]["root"], machine["model"]["parent"], machine["model"]["excluded"]) == (
        "lr",
        "lr",
        [[10, 20]],
    )
    assert [entry["offset"] for entry in machine["control"]["in_force"]] == [3]


def test_what_is_missing_is_said() -> None:
    found = replace(
        explained(),
        event=None,
        features=None,
        prediction=None,
        force=None,
        lineage=None,
        again=None,
        problem="its event was not predicted",
    )
    said = text(found)
    assert "event       none: the topic holds no event with this id (any more)" in said
    assert "prediction  none" in said
    assert "rebuilt" not in said
    assert "champion" not in said
    machine = json.loads(as_json(found))
    assert (machine["model"], machine["identical"], machine["problem"]) == (None, False, "its event was not predicted")


def test_no_bytes_steer_the_terminal() -> None:
    hostile = LogRecord("t", 0, 1, 0, b"k", b"\x1b[2J" * 40)
    found = replace(explained(), event=Told(hostile, None, "it is \x1b[2J"), doubles=2)
    said = text(found)
    assert "\x1b" not in said
    assert "… 96 more bytes: --json has all of them" in said
    assert "2 more events with this id, which count as doubles" in said


def test_shadows_stand_beside_what_was_served() -> None:
    found = explained()
    assert found.prediction is not None
    shadow = {"model": "nb", "digest": "d", "position": 7, "output": {"label": False, "probabilities": {}}}
    value = {**found.prediction.value, "shadows": [shadow]}
    said = text(replace(found, prediction=replace(found.prediction, value=value)))
    assert 'the shadow nb@7 said {"label":false,"probabilities":{}}' in said
    assert "shadows" not in said


def test_an_example_stands_in_for_what_was_deleted() -> None:
    found = explained()
    assert found.prediction is not None
    assert found.features is not None
    example = Told(found.prediction.record, {"prediction": found.prediction.value, "features": found.features.value})
    left = replace(found, prediction=None, features=None, example=example, position=5)
    assert (left.served, left.seen) == (found.served, found.seen)
    assert "position 5" in text(left)
    assert f"lr@{found.prediction.value['position']}  digest" in text(left)
