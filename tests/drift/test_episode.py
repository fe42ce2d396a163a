"""The life of an alert."""

from __future__ import annotations

from streamml.drift import Episode
from streamml.drift.episode import LIFE


def test_every_case_of_a_life_is_in_the_table() -> None:
    assert LIFE.keys() == {(is_open, what) for is_open in (False, True) for what in ("raised", "eased")}


def test_one_id_from_opened_to_closed() -> None:
    episode = Episode("error", "drift")
    assert episode.happen("eased", "calm", 0.1, None, 5, 50) is None
    opened = episode.happen("raised", "worse", 0.3, None, 10, 100)
    updated = episode.happen("raised", "worse still", 0.4, None, 20, 200)
    closed = episode.happen("eased", "calm", 0.1, None, 30, 300)
    assert opened == {
        "alert": "error/10",
        "detector": "error",
        "kind": "drift",
        "status": "opened",
        "message": "worse",
        "value": 0.3,
        "threshold": None,
        "position": 10,
        "opened_at": 100,
        "at": 100,
    }
    assert updated is not None
    assert closed is not None
    assert [updated["status"], closed["status"]] == ["updated", "closed"]
    assert updated["alert"] == closed["alert"] == "error/10"
    assert updated["opened_at"] == closed["opened_at"] == 100
    again = episode.happen("raised", "worse", 0.3, None, 40, 400)
    assert again is not None
    assert (again["alert"], again["status"], again["opened_at"]) == ("error/40", "opened", 400)


def test_a_restored_episode_closes_what_was_opened() -> None:
    before, after = Episode("error", "drift"), Episode("error", "drift")
    before.happen("raised", "worse", 0.3, None, 10, 100)
    after.restore(before.state())
    closed = after.happen("eased", "calm", 0.1, None, 30, 300)
    assert closed is not None
    assert (closed["alert"], closed["opened_at"]) == ("error/10", 100)
