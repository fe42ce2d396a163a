"""Every process folds the same decisions to the same roster, and a restart finds it as it was."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from support.tiny import tiny

from streamml.agents.roster import Reign, Roster

TOPOLOGY = tiny("app")


def decision(action: str, model: str | None, **fields: Any) -> dict[str, Any]:
    empty = {"position": None, "parent": None, "from_position": None, "to_position": None}
    by = {"accepted": True, "author": "govern"}
    return {"kind": "decision", "action": action, "model": model, **empty, **by, **fields}


def fork(name: str, parent: str, start: int, end: int) -> dict[str, Any]:
    return decision("exclude", name, parent=parent, from_position=start, to_position=end)


LIFE = [
    decision("promote", "lr"),
    decision("validate", "nb"),
    decision("promote", "nb"),
    fork("lr~1", "lr", 100, 200),
    decision("pause", "lr"),
    fork("lr~2", "lr~1", 300, 400),
    decision("promote", "lr~2"),
    decision("rollback", "lr", position=50),
    decision("retire", "lr~1"),
]


def lived(count: int = len(LIFE)) -> Roster:
    roster = Roster(TOPOLOGY)
    for each in LIFE[:count]:
        roster.apply(each)
    return roster


def test_from_the_beginning_all_race_and_the_first_one_serves() -> None:
    roster = Roster(TOPOLOGY)
    assert (roster.champion, roster.pinned, roster.learning()) == ("lr", None, ["lr", "nb"])
    before = roster.stands
    assert roster.apply(decision("promote", "lr")) is False, "it served before"
    assert (before, roster.stands) == (False, True)
    assert roster.former == []


def test_what_a_life_of_decisions_comes_to() -> None:
    roster = lived()
    assert roster.reign == Reign("lr", 50)
    assert roster.former == [Reign("lr"), Reign("nb"), Reign("lr~2")]
    assert roster.learning() == ["nb", "lr~2"]
    assert {name: roster.status(name) for name in roster.lineages} == {
        "lr": "paused",
        "nb": "racing",
        "lr~1": "retired",
        "lr~2": "racing",
    }
    assert roster.lineages["lr~2"].excluded == ((100, 200), (300, 400))
    assert roster.next_fork("nb") == "nb~1"
    assert roster.next_fork("lr~1") == "lr~3", "forks of forks are counted with their root"
    assert not roster.asked, "who was promoted is asked for no more"


def test_a_rollback_to_the_reign_before_takes_it_back() -> None:
    roster = lived(7)
    assert roster.apply(decision("rollback", "nb")) is True
    assert (roster.reign, roster.former) == (Reign("nb"), [Reign("lr")])


def test_a_restart_finds_it_as_it_was_at_any_point() -> None:
    for count in range(len(LIFE) + 1):
        kept = orjson.loads(orjson.dumps(lived(count).state()))
        again = Roster(TOPOLOGY)
        again.restore(kept)
        assert again.state() == lived(count).state()
        for each in LIFE[count:]:
            again.apply(each)
        assert again.state() == lived().state()


def test_what_was_refused_changes_nothing_but_that_it_was_answered() -> None:
    roster = lived(2)
    assert roster.apply(decision("promote", "nb", accepted=False)) is False
    assert list(roster.asked) == ["nb"], "a person was refused, and the examination is still under way"
    assert roster.apply(decision("promote", "nb", accepted=False, author="gate")) is False
    assert (roster.champion, list(roster.asked)) == ("lr", [])


def test_decisions_on_models_that_are_not_declared_any_more_are_passed_by() -> None:
    roster = Roster(tiny("app", models=TOPOLOGY.models[:1]))
    for each in [*LIFE, fork("nb~1", "nb", 0, 5), decision("promote", "nb")]:
        roster.apply(each)
    assert list(roster.lineages) == ["lr", "lr~1", "lr~2"]
    assert roster.reign == Reign("lr", 50)
    once = Roster(TOPOLOGY)
    once.apply(decision("promote", "nb"))
    roster = Roster(tiny("app", models=TOPOLOGY.models[:1]))
    roster.restore(once.state())
    assert (roster.champion, roster.gone, roster.stands) == ("lr", "nb", False)


def test_what_is_declared_again_is_as_it_was() -> None:
    whole = Roster(TOPOLOGY)
    for each in (
        fork("nb~1", "nb", 1, 2),
        decision("pause", "nb"),
        decision("promote", "nb~1"),
        decision("promote", "lr"),
    ):
        whole.apply(each)
    without = Roster(tiny("app", models=TOPOLOGY.models[:1]))
    without.restore(whole.state())
    assert list(without.lineages) == ["lr"]
    again = Roster(TOPOLOGY)
    again.restore(orjson.loads(orjson.dumps(without.state())))
    assert again.lineages.keys() == whole.lineages.keys()
    assert (again.status("nb"), again.next_fork("nb"), set(again.former)) == ("paused", "nb~2", set(whole.former))


@pytest.mark.parametrize(
    "forged",
    [
        fork("lr~x", "lr", 0, 5),
        fork("lr~", "lr", 0, 5),
        fork("lr~" + "9" * 5_000, "lr", 0, 5),
        fork("nb~1", "lr", 0, 5),
        fork("lr", "lr", 0, 5),
        fork("lr~1", "lr", 5, 5),
        fork("lr~1", "lr", -1, 5),
        {**fork("lr~1", "lr", 0, 5), "from_position": None},
        {**fork("lr~1", "lr", 0, 5), "model": None},
    ],
)
def test_a_forged_fork_is_none(forged: dict[str, Any]) -> None:
    roster = Roster(TOPOLOGY)
    assert roster.apply(forged) is False
    assert list(roster.lineages) == ["lr", "nb"]
