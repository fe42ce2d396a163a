"""A process that serves what another one learns, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.kafka import create_topics, produce
from support.tiny import tiny

from streamml.agents.live import LiveModels
from streamml.agents.roster import Roster
from streamml.engine.catalog import Catalog
from streamml.engine.task import SWITCH
from streamml.evaluation import Prequential
from streamml.models import Fold, Lineage
from streamml.runtime.connection import Connection
from streamml.runtime.follower import Follower
from streamml.runtime.switching import Switching
from streamml.snapshots import dumps, seal
from streamml.topology import Topology

pytestmark = pytest.mark.kafka
X = {"pressure": 1_000.0, "temperature": 20.0}


class World:
    """A topology whose learner is this test."""

    def __init__(self, bootstrap: str, app: str) -> None:
        self.topology: Topology = tiny(app)
        self.bootstrap = bootstrap
        self.codec = Catalog.in_memory(self.topology).codec("models")
        self.live = LiveModels("lr")
        self.led: set[str] = set()
        create_topics(bootstrap, {self.topology.topic(role): 1 for role in ("models", "examples")})

    def fold(self, model: str, position: int) -> Fold:
        """The fold over `position` examples, all alike."""
        spec = next(m for m in self.topology.models if m.name == model)
        fold = Fold.new(spec, self.topology.target)
        for number in range(position):
            fold.learn(X, number % 3 != 0)
        return fold

    def learned(
        self, model: str, position: int, offset: int, key: bytes | None = None, name: str = "", **header: Any
    ) -> None:
        """Write the snapshot of a learner at `position`, under the name of the model or another one."""
        fold = self.fold(model, position)
        topology = self.topology
        payload = dumps((fold.dumps(), Prequential(topology.target, topology.window), []))
        chunks = seal(
            payload, model=name or model, digest=fold.digest, position=position, offset=offset, at=1_000, key=key
        )
        records = [(k.encode(), self.codec.encode({**r, "header": {**r["header"], **header}})) for k, r in chunks]
        produce(self.bootstrap, topology.topic("models"), records)

    def examples(self, count: int) -> None:
        produce(self.bootstrap, self.topology.topic("examples"), [(b"k", b"v")] * count)

    @asynccontextmanager
    async def following(self, key: bytes | None = None, roster: Roster | None = None) -> AsyncIterator[Follower]:
        connection = Connection(self.bootstrap)
        follower = Follower(self.topology, connection, self.live, self.codec, key, lambda m: m in self.led, roster)
        await follower.start()
        try:
            await asyncio.wait_for(follower.caught_up.wait(), 30)
            yield follower
            follower.check()
        finally:
            await follower.stop()


@pytest.fixture
def world(kafka: str, app_name: str) -> World:
    return World(kafka, app_name)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a test watches the program from outside, there is no event to await
            await asyncio.sleep(0.02)


async def test_without_a_snapshot_the_model_at_position_0_serves(world: World) -> None:
    async with world.following():
        assert world.live.position("lr") == 0
        assert world.live.position("nb") == -1


async def test_the_newest_snapshot_serves_and_newer_ones_follow(world: World) -> None:
    world.learned("lr", 10, offset=12)
    world.learned("lr", 20, offset=23)
    world.learned("nb", 20, offset=23)
    world.examples(30)
    async with world.following() as follower:
        served = world.live.get("lr")
        assert served is not None
        assert served.position == 20
        assert served.predict(X) == world.fold("lr", 20).predict(X)
        assert follower.loaded == {"lr": 1}
        assert follower.behind("lr") == 7
        world.learned("lr", 25, offset=28)
        await until(lambda: world.live.position("lr") == 25)
        await until(lambda: follower.behind("lr") == 2)
        world.examples(4)
        await until(lambda: follower.behind("lr") == 6)


async def test_a_promoted_model_is_opened_before_it_serves(world: World) -> None:
    world.learned("nb", 20, offset=23)
    async with world.following() as follower:
        roster, locks = Roster(world.topology), dict[str, asyncio.Lock]()

        async def no_copy(model: str, position: int) -> Fold:
            raise AssertionError("a champion that is not pinned is no copy")

        switching = Switching(world.live, roster, locks, follower.open, no_copy)
        await switching.settled()
        empty = {"position": None, "parent": None, "from_position": None, "to_position": None}
        roster.apply({"action": "promote", "model": "nb", "accepted": True, **empty})
        async with locks[SWITCH]:
            switching.follow()
            await until(lambda: world.live.position("nb") == 20)
            assert world.live.champion == "lr", "no batch is scored while the champion changes"
        await switching.settled()
        assert (world.live.champion, world.live.position("nb")) == ("nb", 20)
        world.learned("nb", 21, offset=24)
        await until(lambda: world.live.position("nb") == 21)


async def test_a_fork_is_at_hand_though_its_snapshot_came_before_its_decision(world: World) -> None:
    roster = Roster(world.topology)
    fork = Lineage.of(world.topology.models[0], world.topology.target, [(5, 8)], "lr~1")
    world.learned("lr", 20, offset=23, name="lr~1", digest=fork.digest)
    world.learned("lr", 30, offset=33, name="lr~1", digest="forged")
    async with world.following(roster=roster) as follower:
        decision = {"action": "exclude", "model": "lr~1", "accepted": True, "parent": "lr", "position": None}
        roster.apply({**decision, "from_position": 5, "to_position": 8})
        await follower.open("lr~1")
        shown = world.live.get("lr~1")
        assert shown is not None
        assert (shown.name, shown.digest, shown.position) == ("lr~1", fork.digest, 20)


async def test_a_refused_snapshot_is_told_once_and_counted_and_the_one_before_serves_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.learned("lr", 10, offset=12)
    for position in (20, 30):
        world.learned("lr", position, offset=33, sha256="0" * 64)
    world.learned("lr", 40, offset=43, digest="of another specification")
    async with world.following() as follower:
        assert world.live.position("lr") == 10
        assert follower.refused == {"lr": 2}
    told = [message for message in caplog.messages if "snapshot refused" in message]
    assert len(told) == 1
    assert f"{world.topology.name}.models[0]@" in told[0]
    assert told[0].endswith("the state before it serves on")


async def test_with_a_key_only_signed_snapshots_serve(world: World) -> None:
    world.learned("lr", 10, offset=12, key=b"secret")
    world.learned("lr", 20, offset=22)
    world.learned("lr", 30, offset=32, key=b"forged")
    async with world.following(key=b"secret") as follower:
        assert world.live.position("lr") == 10
        assert follower.refused == {"lr": 2}


async def test_a_model_that_is_learned_here_is_left_alone_until_its_learner_leaves(world: World) -> None:
    own = world.fold("lr", 5)
    world.live.lead(own)
    world.led.add("lr")
    world.learned("lr", 10, offset=12)
    world.examples(20)
    async with world.following() as follower:
        assert world.live.get("lr") is own
        follower.reached("lr", unread=15)
        assert follower.behind("lr") == 15
        world.led.clear()
        world.learned("lr", 12, offset=14)
        await until(lambda: world.live.position("lr") == 12)
        assert follower.behind("lr") == 6
