"""What was in force at a moment, and what counts as the same output."""

from __future__ import annotations

from typing import Any

from support.tiny import tiny

from streamml.agents.roster import Reign
from streamml.engine.explaining import Force, identical, in_force, seen_by_model

TOPOLOGY = tiny("explained")


def decision(action: str, model: str, at: int, **more: Any) -> dict[str, Any]:
    empty = {"position": None, "parent": None, "from_position": None, "to_position": None}
    entry = {"kind": "decision", "action": action, "model": model, "accepted": True, "at": at, **empty}
    return {**entry, "reason": "", "author": "govern", "command": None, "evidence": {}, **more}


def force(at: int, *entries: dict[str, Any]) -> Force:
    return in_force(TOPOLOGY, list(enumerate(entries)), at)


def offsets(found: Force) -> list[int]:
    return [decision.offset for decision in found.others]


def test_without_a_decision_the_first_declared_model_serves() -> None:
    assert force(100) == Force(Reign("lr"), None, ())


def test_the_decision_that_made_the_champion_is_the_last_one_before_the_moment() -> None:
    log = [
        decision("promote", "lr", 1),
        decision("promote", "nb", 5),
        decision("promote", "nb", 6),
        decision("promote", "lr", 7, position=40),
        decision("promote", "xgboost", 8),
        decision("promote", "nb", 9, accepted=False),
        {**decision("promote", "nb", 9), "kind": "command", "accepted": None},
    ]

    def crowned(at: int) -> tuple[Reign, int | None]:
        found = force(at, *log)
        return found.reign, found.crowned.offset if found.crowned else None

    assert crowned(0) == (Reign("lr"), None)
    assert crowned(4) == (Reign("lr"), 0)
    assert crowned(5) == (Reign("nb"), 1)
    # That it was decided again changes nothing.
    assert crowned(6) == (Reign("nb"), 1)
    assert crowned(100) == (Reign("lr", 40), 3)


def test_forks_and_states_hold_until_they_are_undone() -> None:
    log = [
        decision("exclude", "lr~1", 1, parent="lr", from_position=10, to_position=20),
        decision("pause", "nb", 2),
        decision("validate", "lr~1", 3),
        decision("resume", "nb", 4),
        decision("promote", "lr~1", 5),
        decision("retire", "nb", 6),
        decision("replay", "", 7),
    ]
    assert offsets(force(3, *log)) == [0, 1, 2]
    assert offsets(force(4, *log)) == [0, 2]
    found = force(9, *log)
    assert offsets(found) == [0, 5]
    assert (found.reign, found.crowned and found.crowned.offset) == (Reign("lr~1"), 4)


def test_outputs_are_compared_to_the_bit() -> None:
    one = {"label": True, "probabilities": {"False": 0.1, "True": 0.9}}
    assert identical(one, {"label": True, "probabilities": {"False": 0.1, "True": 0.9}})
    assert not identical(one, {"label": True, "probabilities": {"True": 0.9, "False": 0.1}})
    assert not identical(one, {"label": True, "probabilities": {"False": 0.10000000000000002, "True": 0.9}})
    assert not identical({"value": 0.0}, {"value": -0.0})


def test_an_absent_feature_was_not_there() -> None:
    assert seen_by_model({"a": 0.0, "b": None, "c": ""}) == {"a": 0.0, "c": ""}
