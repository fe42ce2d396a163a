"""What govern answers to a command: accepted, or refused with the reason a person can act on."""

from __future__ import annotations

from typing import Any

import pytest
from agents.test_roster import TOPOLOGY, decision, fork

from streamml.agents.govern.rulings import Ruling, rule_on
from streamml.agents.roster import Roster

WINDOW = 10


def command(action: str, model: str | None = None, **fields: Any) -> dict[str, Any]:
    return {**decision(action, model), "kind": "command", "accepted": None, "reason": "because", **fields}


def rule(asked: dict[str, Any], *before: dict[str, Any], heads: dict[str, int] | None = None) -> Ruling:
    roster = Roster(TOPOLOGY)
    for each in before:
        roster.apply(each)
    return rule_on(asked, roster, heads or {}, WINDOW)


@pytest.mark.parametrize(
    ("asked", "before"),
    [
        (command("promote", "nb"), []),
        (command("promote", "lr"), [decision("rollback", "lr", position=3)]),
        (command("rollback", "lr", position=0), []),
        (command("rollback", "lr"), [decision("promote", "nb")]),
        (command("pause", "nb"), []),
        (command("resume", "nb"), [decision("pause", "nb")]),
        (command("retire", "nb"), [decision("pause", "nb")]),
    ],
)
def test_accepted(asked: dict[str, Any], before: list[dict[str, Any]]) -> None:
    assert rule(asked, *before) == Ruling(True, "because", asked["model"], asked["position"])


@pytest.mark.parametrize(
    ("asked", "before", "why"),
    [
        (
            command("crown", "nb"),
            [],
            "unknown action 'crown'; known: exclude, pause, promote, resume, retire, rollback",
        ),
        (command("promote", "xgb"), [], "no model 'xgb' in the topology; there are lr, nb"),
        (command("promote"), [], "no model None in the topology; there are lr, nb"),
        (command("promote", "lr"), [], "lr is the champion already"),
        (command("promote", "nb"), [decision("pause", "nb")], "nb is paused; resume it first"),
        (command("promote", "nb"), [decision("retire", "nb")], "nb is retired"),
        (command("rollback"), [], "lr has served from the start; there is no champion to go back to"),
        (command("rollback", "nb"), [], "nb was not the champion before; promote it, or name one of its positions"),
        (command("rollback", "lr", position=-1), [], "lr@-1: a position is 0 or more"),
        (command("rollback", "lr"), [], "lr serves already"),
        (command("pause", "nb"), [decision("pause", "nb")], "nb is paused already"),
        (
            command("pause", "lr"),
            [],
            "lr is the champion; to freeze it, roll back to one of its positions, lr@POSITION",
        ),
        (
            command("rollback"),
            [decision("promote", "nb"), decision("retire", "lr")],
            "lr is retired and does not learn; name one of its positions, lr@POSITION",
        ),
        (
            command("rollback", "lr"),
            [decision("promote", "nb"), decision("pause", "lr")],
            "lr is paused and does not learn; name one of its positions, lr@POSITION",
        ),
        (command("resume", "nb"), [], "nb is racing, not paused"),
        (command("resume", "nb"), [decision("retire", "nb")], "nb is retired, not paused"),
        (command("retire", "lr"), [], "lr is the champion; promote another model first"),
        (command("retire", "nb"), [decision("retire", "nb")], "nb is retired already"),
        (command("exclude", "lr"), [], "the positions None to None are no range; give 0 <= from < to"),
        (
            command("exclude", "lr", from_position=9, to_position=9),
            [],
            "the positions 9 to 9 are no range; give 0 <= from < to",
        ),
        (
            command("exclude", "lr~1", from_position=12, to_position=18),
            [fork("lr~1", "lr", 10, 20)],
            "lr~1 has not learned the positions 12 to 17 anyway",
        ),
    ],
)
def test_refused(asked: dict[str, Any], before: list[dict[str, Any]], why: str) -> None:
    ruling = rule(asked, *before)
    assert (ruling.accepted, ruling.reason) == (False, why)


def test_who_lies_far_behind_is_not_promoted_yet() -> None:
    heads = {"lr": 7, "nb": 5}
    ruling = rule(command("promote", "nb"), heads=heads)
    assert ruling.reason == "nb has learned 60 examples of 80; let it catch up"
    assert rule(command("promote", "nb"), heads={**heads, "nb": 6}).accepted


def test_a_rollback_without_a_name_goes_to_the_reign_before() -> None:
    pinned = decision("rollback", "nb", position=40)
    ruling = rule(command("rollback"), decision("promote", "nb"), pinned, decision("promote", "lr"))
    assert (ruling.accepted, ruling.model, ruling.position) == (True, "nb", 40)


def test_an_exclusion_names_the_fork() -> None:
    asked = command("exclude", "lr~1", from_position=30, to_position=40)
    assert rule(asked, fork("lr~1", "lr", 10, 20)) == Ruling(True, "because", "lr~2", None, "lr~1", 30, 40)
