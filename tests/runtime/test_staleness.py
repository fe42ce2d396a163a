"""Staleness is an upper bound at every moment, also while the learner of this process is not at its work."""

from __future__ import annotations

from typing import Any, cast

import pytest
from support.tiny import tiny

from streamml.agents.live import LiveModels
from streamml.models import Fold
from streamml.records import TopicPartition
from streamml.runtime.follower import Follower
from streamml.runtime.monitoring import Plane
from streamml.runtime.staleness import Staleness

TOPOLOGY = tiny("app")
LR = TOPOLOGY.models[0]
EXAMPLES = TopicPartition("app.examples", 0)


class Learner:
    """A plane: at work with a lag, or not."""

    def __init__(self) -> None:
        self.sessions: dict[int, Any] = {0: None}
        self.ready = True
        self.unread: int | None = 0

    def lag(self) -> dict[TopicPartition, int]:
        return {} if self.unread is None else {EXAMPLES: self.unread}


class Following:
    """A follower: the end of `examples`, and what it was told."""

    def __init__(self) -> None:
        self.head = 0
        self.told: list[int] = []

    def reached(self, model: str, unread: int) -> None:
        self.told.append(unread)

    def behind(self, model: str) -> int:
        return 17


class Scene:
    def __init__(self, follower: bool = True) -> None:
        self.live = LiveModels("lr")
        self.learner = Learner()
        self.follower = Following()
        self.staleness = Staleness(
            self.live, {"lr": cast(Plane, self.learner)}, cast(Follower, self.follower) if follower else None
        )

    def at(self, position: int) -> None:
        """The learner shows its fold there."""
        fold = Fold.new(LR, TOPOLOGY.target)
        fold.position = position
        self.live.lead(fold)

    @property
    def behind(self) -> int:
        return self.staleness.behind("lr")


def test_at_work_it_is_the_lag() -> None:
    scene = Scene()
    scene.at(100)
    scene.learner.unread = 12
    assert scene.behind == 12
    scene.staleness.note()
    assert scene.follower.told == [12]


@pytest.mark.parametrize("known", ["no lag", "not running"])
def test_while_the_learner_is_built_anew_it_is_the_way_back_to_the_head(known: str) -> None:
    scene = Scene()
    scene.follower.head = 130
    scene.at(100)
    scene.learner.unread = 12
    scene.staleness.note()
    if known == "no lag":
        scene.learner.unread = None
    else:
        scene.learner.ready, scene.learner.unread = False, 0
    scene.at(40)
    assert scene.behind == 72
    scene.follower.head = 135  # What came since counts too.
    assert scene.behind == 77
    scene.at(90)
    assert scene.behind == 27
    scene.staleness.note()
    assert scene.follower.told == [12]  # Where a learner is that reopens is not known.


def test_a_learner_that_never_ran_is_behind_all_offsets() -> None:
    scene = Scene()
    scene.learner.unread = None
    scene.follower.head = 50
    scene.at(20)
    assert scene.behind == 30


@pytest.mark.parametrize("follower", [True, False])
def test_what_a_spent_state_had_seen_counts_though_no_look_at_the_lag_came_in_between(follower: bool) -> None:
    scene = Scene(follower)
    scene.at(100)
    scene.staleness.note()
    scene.live.withdraw("lr", head=120)
    scene.learner.unread = None
    scene.at(0)
    assert scene.behind == 120
    scene.at(100)
    scene.learner.unread = 0  # As of the fetch before the one that brought them.
    assert scene.behind == 20


def test_a_learner_that_moved_elsewhere_leaves_it_to_the_follower() -> None:
    scene = Scene()
    scene.at(30)
    scene.learner.sessions.clear()
    assert scene.behind == 17
    scene.at(5)
    assert scene.behind == 25
    scene.staleness.note()
    assert scene.follower.told == []
