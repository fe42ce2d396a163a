"""Govern on its own: races from `metrics`, examinations, promotions and their ways back, through any restart."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from river import dummy, naive_bayes
from support.tiny import tiny

from streamml import Gate, Limits, Model, Rollback, Slice, Topology
from streamml.agents.govern import Govern
from streamml.engine.catalog import Catalog
from streamml.records import LogRecord, TopicPartition

NOW = 1_700_000_000_000
SIZE = 100
FINE = {"compared": 50.0, "different": 0.0, "without_answer": 0.0, "latency_p99": 20.0, "size": 900.0}


class World:
    """The agent with logs of `metrics`, `alerts` and `control`; what it decides goes into `control`."""

    def __init__(self, gate: Gate | None, **changes: Any) -> None:
        self.topology: Topology = tiny("app", gate=gate, window=SIZE, **changes)
        self.catalog = Catalog.in_memory(self.topology)
        self.decisions: list[dict[str, Any]] = []
        self.reports: list[str] = []
        self._logs: dict[str, list[LogRecord]] = {"metrics": [], "alerts": [], "control": []}
        self._committed: dict[str, int] = dict.fromkeys(self._logs, 0)
        self._changelog: list[LogRecord] = []
        self.agent = self._open()

    def _open(self) -> Govern:
        codec = self.catalog.codec
        agent = Govern(self.topology, codec("control"), codec("metrics"), codec("alerts"), self.reports.append)
        agent.restore(self._changelog[-1:])
        tps = {role: TopicPartition(self.topology.topic(role), 0) for role in self._logs}
        start = agent.resume({tps[role]: offset for role, offset in self._committed.items()})
        again = self._logs["metrics"][start[tps["metrics"]] : self._committed["metrics"]]
        if again:
            agent.step({"metrics": again}, NOW)
        return agent

    def restart(self) -> None:
        self.agent = self._open()
        self.step()

    def add(self, role: str, value: dict[str, Any], key: str = "") -> None:
        log = self._logs[role]
        data = self.catalog.codec(role).encode(value)
        log.append(LogRecord(self.topology.topic(role), 0, len(log), NOW, key.encode(), data, ()))

    def step(self) -> None:
        batch = {role: log[self._committed[role] :] for role, log in self._logs.items()}
        writes = self.agent.step(batch, NOW)
        for role, log in self._logs.items():
            self._committed[role] = len(log)
        for write in writes.get("control", ()):
            decision = self.catalog.codec("control").decode(write[1])
            self.decisions.append(decision)
            self.add("control", decision)
        for write in self.agent.checkpoint(NOW).get("govern-changelog", ()):
            self._changelog.append(LogRecord("c", 0, len(self._changelog), NOW, write[0], write[1], ()))

    def window(self, model: str, number: int, losses: Sequence[float | None], **more: Any) -> None:
        self.add(
            "metrics",
            {
                "model": model,
                "digest": self.agent.roster.lineages[model].digest,
                "window": number,
                "first_position": number * SIZE,
                "count": SIZE,
                "scored": SIZE,
                "metrics": {},
                "cumulative": {},
                "baselines": {},
                "baselines_cumulative": {},
                "losses": losses,
                "at": NOW,
                **more,
            },
            f"{model}/{number}",
        )

    def command(self, action: str, model: str | None = None, **fields: Any) -> None:
        empty = {"position": None, "parent": None, "from_position": None, "to_position": None, "command": None}
        self.add(
            "control",
            {
                "kind": "command",
                "action": action,
                "model": model,
                "accepted": None,
                "reason": "",
                "author": "ann",
                "at": NOW,
                "evidence": {},
                **empty,
                **fields,
            },
        )

    def alert(self, detector: str, kind: str, status: str) -> None:
        self.add(
            "alerts",
            {
                "alert": detector,
                "detector": detector,
                "kind": kind,
                "status": status,
                "message": "",
                "value": 0.0,
                "threshold": None,
                "position": 0,
                "opened_at": NOW,
                "at": NOW,
            },
        )

    def race(self, windows: range, errors: dict[str, float], seed: int = 0, **more: Any) -> None:
        """The results of both models, each with its share of errors."""
        for number in windows:
            for model, rate in errors.items():
                draw = Random(f"{seed}/{model}/{number}")
                self.window(model, number, [float(draw.random() < rate) for _ in range(SIZE)], **more)
            self.step()

    def said(self, start: int = 1) -> list[tuple[str, str, bool]]:
        return [(d["action"], d["model"], d["accepted"]) for d in self.decisions[start:]]


def test_the_better_challenger_is_examined_and_then_serves() -> None:
    world = World(Gate(minimum=300))
    world.race(range(12), {"lr": 0.4, "nb": 0.1})
    assert world.said() == [("validate", "nb", True)], "asked once, though the race goes on"
    asked = world.decisions[-1]["evidence"]
    assert asked["examples"] >= 300
    assert asked["e_maximum"] >= asked["threshold"]
    world.command("validated", "nb", evidence=FINE)
    world.step()
    assert world.said(2) == [("promote", "nb", True)]
    promoted = world.decisions[-1]
    assert (promoted["author"], promoted["command"]) == ("gate", len(world.decisions) - 1)
    assert promoted["evidence"]["validation.latency_p99"] == 20.0
    assert promoted["evidence"]["examples"] == 1_200
    assert promoted["evidence"]["metrics_offset"] == 23
    assert promoted["reason"].startswith("nb is better than lr: mean loss 0.1")
    world.race(range(12, 24), {"lr": 0.4, "nb": 0.1})
    assert len(world.decisions) == 3, "the former champion is no better"


def test_equal_models_stay_where_they_are_and_without_a_gate_nothing_is_judged() -> None:
    for world in (World(Gate(minimum=100)), World(None)):
        world.race(range(20), {"lr": 0.3, "nb": 0.3 if world.topology.gate else 0.0})
        assert world.said() == []


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"latency_p99": 900.0}, "a prediction takes 900 us (99th percentile); the limit is 500 us"),
        ({"size": 5e6}, "its snapshot has 5000000 bytes; the limit is 1000000"),
        ({"different": 2.0}, "folded again, it gives 2 of 50 predictions otherwise"),
        ({"without_answer": 0.7}, "it has no answer for 70% of the rows; 50% at most may go without"),
        ({"compared": 0.0}, "no prediction could be compared: it has learned nothing yet"),
    ],
)
def test_what_an_examination_found_keeps_a_model_out_until_it_is_examined_again(
    figures: dict[str, float], why: str
) -> None:
    world = World(Gate(minimum=300, limits=Limits(latency=500, size=1_000_000)))
    world.race(range(6), {"lr": 0.4, "nb": 0.1})
    world.command("validated", "nb", evidence={**FINE, **figures})
    world.step()
    assert world.said(2) == [("promote", "nb", False)]
    assert world.decisions[-1]["reason"] == why
    world.race(range(6, 9), {"lr": 0.4, "nb": 0.1})
    assert world.said(3) == [("validate", "nb", True)], "after as many examples as the gate wants"


def test_an_examination_that_nobody_asked_for_promotes_nobody() -> None:
    world = World(Gate(minimum=300))
    world.command("validated", "nb", evidence=FINE)
    world.step()
    assert world.said() == [("promote", "nb", False)]
    assert world.decisions[-1]["reason"] == "no examination of nb was asked for"


def test_what_was_asked_for_in_one_reign_is_no_evidence_in_the_next() -> None:
    models = tuple(Model(name, naive_bayes.GaussianNB) for name in ("lr", "nb", "other"))
    world = World(Gate(minimum=300), models=models)
    world.race(range(6), {"lr": 0.4, "nb": 0.1, "other": 0.05})
    assert world.said() == [("validate", "nb", True), ("validate", "other", True)]
    world.command("validated", "nb", evidence=FINE)
    world.step()
    world.race(range(6, 7), {"lr": 0.4, "nb": 0.1, "other": 0.05})
    world.command("validated", "other", evidence=FINE)
    world.step()
    assert world.said(3) == [("promote", "nb", True), ("promote", "other", False)]
    assert world.decisions[-1]["reason"] == "its race has begun anew, and is not decided yet"
    assert world.decisions[-1]["evidence"]["mean_difference"] > 0
    world.race(range(7, 30), {"lr": 0.4, "nb": 0.1, "other": 0.03})
    assert world.said(5) == [("validate", "other", True)], "it is asked for again once that race is decided"


def test_a_slice_that_would_be_harmed_keeps_a_model_out_and_is_told_once() -> None:
    gate = Gate(minimum=300, slices=(Slice("pressure", harm=0.05, minimum=50),))
    world = World(gate)
    for number in range(8):
        for model, rate, harmed in (("lr", 0.4, 0.1), ("nb", 0.1, 0.3)):
            draw = Random(f"{model}/{number}")
            losses = [float(draw.random() < rate) for _ in range(SIZE)]
            world.window(model, number, losses, slices={"pressure=1000": {"count": 20, "loss": harmed}})
        world.step()
    assert world.said() == [("promote", "nb", False)]
    assert "pressure=1000" in world.decisions[-1]["reason"]


def test_a_model_that_was_defined_otherwise_races_anew() -> None:
    world = World(Gate(minimum=300))
    world.race(range(2), {"lr": 0.4, "nb": 0.0})
    models = (world.topology.models[0], Model("nb", dummy.PriorClassifier))
    old, world.topology = (
        world.agent.roster.lineages["nb"].digest,
        tiny("app", gate=Gate(minimum=300), window=SIZE, models=models),
    )
    world.restart()
    world.window("nb", 2, [0.0] * SIZE, digest=old)
    world.race(range(2, 4), {"lr": 0.4})
    world.race(range(4), {"nb": 0.0})
    assert world.said() == [], "what the other one had won is nothing to this one"
    world.race(range(4, 9), {"lr": 0.4, "nb": 0.0})
    assert world.said() == [("validate", "nb", True)]
    assert world.decisions[-1]["evidence"]["first_position"] >= 400


def test_a_champion_that_is_gone_is_replaced_by_a_decision_though_windows_are_read_again() -> None:
    models = tuple(Model(name, naive_bayes.GaussianNB) for name in ("lr", "nb", "slow"))
    world = World(Gate(minimum=300), models=models)
    world.command("promote", "nb", reason="by hand")
    world.step()
    world.race(range(3), {"lr": 0.4, "nb": 0.4})
    world.topology = tiny("app", gate=Gate(minimum=300), window=SIZE, models=(models[0], models[2]))
    world.restart()
    last = world.decisions[-1]
    assert (last["action"], last["model"], last["accepted"]) == ("promote", "lr", True)
    assert last["reason"] == "the topology no longer declares nb; its first model serves"


@pytest.mark.parametrize("role", ["alerts", "metrics", "control"])
def test_what_cannot_be_read_ends_nobody(role: str) -> None:
    world = World(Gate(minimum=300))
    log = world._logs[role]
    log.append(LogRecord(world.topology.topic(role), 0, len(log), NOW, b"nb/0", b"junk", ()))
    world.window("nb", 1, [0.0])
    world.window("nb", 1, [0.0] * SIZE, first_position=7)
    world.race(range(6), {"lr": 0.4, "nb": 0.1})
    assert ("validate", "nb", True) in world.said()


def test_an_exclusion_of_any_size_is_answered_at_once() -> None:
    world = World(None)
    for _ in range(2):
        world.command(
            "exclude", "lr~1" if "lr~1" in world.agent.roster.lineages else "lr", from_position=0, to_position=1 << 60
        )
        world.step()
    assert world.said() == [("exclude", "lr~1", True), ("exclude", "lr~1", False)]


def test_a_fork_joins_late_and_is_judged_from_there_on() -> None:
    world = World(Gate(minimum=300))
    world.race(range(4), {"lr": 0.4, "nb": 0.4})
    world.command("exclude", "lr", from_position=100, to_position=200, reason="poisoned")
    world.step()
    assert world.said() == [("exclude", "lr~1", True)]
    world.race(range(4, 12), {"lr": 0.4, "nb": 0.4, "lr~1": 0.05})
    assert world.said(2) == [("validate", "lr~1", True)]
    evidence = world.decisions[-1]["evidence"]
    assert evidence["first_position"] >= 400
    assert evidence["threshold"] == 160, "a quarter of alpha is kept for those that come later, half of it for each"


def test_cooldown_holds_a_promotion_back() -> None:
    world = World(Gate(minimum=100, cooldown=1_000))
    world.race(range(9), {"lr": 0.5, "nb": 0.0})
    assert world.said() == []
    world.race(range(9, 10), {"lr": 0.5, "nb": 0.0})
    assert world.said() == [("validate", "nb", True)]


def promoted(gate: Gate) -> World:
    world = World(gate)
    world.command("promote", "nb", reason="by hand")
    world.step()
    return world


def test_the_former_champion_comes_back_when_an_alert_is_open_and_it_is_better() -> None:
    world = promoted(Gate(minimum=100_000, rollback=Rollback(on=("drift",), minimum=200)))
    world.race(range(4), {"lr": 0.1, "nb": 0.4})
    assert world.said(2) == [], "without an alert the gate alone may promote it"
    world.alert("quarantine_rate", "quarantine_rate", "opened")
    world.race(range(4, 5), {"lr": 0.1, "nb": 0.4})
    assert world.said(2) == [], "not one of the kinds"
    world.alert("error", "drift", "opened")
    world.race(range(5, 6), {"lr": 0.1, "nb": 0.4})
    assert world.said(2) == [("rollback", "lr", True)]
    back = world.decisions[-1]
    assert back["reason"].startswith(
        "alert error is open, and over the newest 200 examples lr, the champion before, has"
    )
    assert back["evidence"]["examples"] == 200.0
    world.race(range(6, 9), {"lr": 0.4, "nb": 0.1})
    assert world.said(3) == [], "there is no way back to what was rolled back"


def test_it_stays_away_while_it_is_no_better_or_the_alert_is_closed() -> None:
    world = promoted(Gate(minimum=100_000, rollback=Rollback(minimum=200)))
    world.alert("error", "drift", "opened")
    world.race(range(4), {"lr": 0.4, "nb": 0.1})
    world.alert("error", "drift", "closed")
    world.race(range(4, 8), {"lr": 0.1, "nb": 0.4})
    assert world.said(2) == []


def test_a_champion_that_a_person_has_pinned_is_raced_against_by_nobody() -> None:
    world = World(Gate(minimum=300))
    world.command("rollback", "lr", position=50, reason="as it was")
    world.step()
    world.race(range(12), {"lr": 0.4, "nb": 0.0})
    assert world.said(2) == []


def test_a_restart_at_any_moment_changes_nothing() -> None:
    """Evidence and decisions are those of an agent that was never thrown away, float for float."""
    gate = Gate(minimum=300, rollback=Rollback(minimum=200))
    steady, shaken = World(gate), World(gate)
    for number in range(40):
        for world in (steady, shaken):
            if number == 25:
                world.alert("error", "drift", "opened")
            errors = {"lr": 0.4, "nb": 0.1} if number < 25 else {"lr": 0.1, "nb": 0.4}
            for model in ("lr", "nb"):  # One model a step, so that windows wait for each other across restarts.
                world.race(range(number, number + 1), {model: errors[model]})
                if world is shaken:
                    world.restart()
            if any(name == "validate" for name, *_ in world.said()[-1:]):
                world.command("validated", "nb", evidence=FINE)
                world.step()
    assert shaken.decisions == steady.decisions
    assert [action for action, *_ in steady.said()] == ["validate", "promote", "rollback"]


def test_a_gate_declared_otherwise_begins_its_races_anew_and_says_so() -> None:
    world = World(Gate(minimum=300))
    world.race(range(2), {"lr": 0.4, "nb": 0.1})
    world.topology = tiny("app", gate=Gate(minimum=300, effect=0.05), window=SIZE)
    world.restart()
    [line] = world.reports
    assert line.startswith("the race of nb: ")
    world.race(range(2, 8), {"lr": 0.4, "nb": 0.1})
    assert world.said() == [("validate", "nb", True)]
    assert world.decisions[-1]["evidence"]["first_position"] == 200


def test_of_a_model_added_to_the_declaration_only_what_comes_after_it_joined_counts() -> None:
    world = World(Gate(minimum=300))
    world.race(range(10), {"lr": 0.4, "nb": 0.4})
    models = (*world.topology.models, Model("nb2", naive_bayes.GaussianNB))
    world.topology = tiny("app", gate=Gate(minimum=300), window=SIZE, models=models)
    world.restart()
    world.race(range(10), {"nb2": 0.0})
    assert world.said() == [], "it catches up on what anyone could have tuned it for"
    world.race(range(10, 20), {"lr": 0.4, "nb": 0.4, "nb2": 0.0})
    assert world.said() == [("validate", "nb2", True)]
    assert world.decisions[-1]["evidence"]["first_position"] == 1_000
