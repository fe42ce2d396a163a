"""Models rebuilt out of Kafka: those of the log, from the nearest snapshot; and what is refused, in one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from river import naive_bayes
from support.kafka import produce, read_all
from support.tiny import event, label, tiny
from support.truncating import delete_before
from support.world import KafkaWorld

from streamml import Model
from streamml.agents.live import answer
from streamml.engine.rebuild import Replay
from streamml.errors import BrokerError, StreammlError
from streamml.models import Fold, Lineage
from streamml.runtime import rebuilding, restore
from streamml.runtime.connection import Connection
from streamml.runtime.rebuilding import Rebuilt, read_roster, rebuild, rebuilt
from streamml.snapshots import seal

pytestmark = pytest.mark.kafka

NAME, EXAMPLES = "rebuilt-on-kafka", 70
BAD = (12, 33)
Bayes: Any = naive_bayes.GaussianNB


class Fussy(Bayes):  # type: ignore[misc]  # River's signatures are loose
    """Raises on certain examples, after it has changed its state."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        super().learn_one(x, y)
        if x["temperature"] in [event(number)["temperature"] for number in BAD]:
            raise ArithmeticError("too hot to handle")


@pytest.fixture(scope="module")
def world(kafka: str) -> Iterator[KafkaWorld]:
    """Its snapshots stand at 20, 40 and 60."""
    made = KafkaWorld(tiny(NAME), kafka)
    for start in range(0, EXAMPLES, 10):
        for number in range(start, start + 10):
            made.produce("events", event(number))
        made.until("predictions", start + 10)
        for number in range(start, start + 10):
            made.produce("feedback", label(number))
        made.until("examples", start + 10)
    made.settle()
    yield made
    made.close()


class Here:
    """The rebuilding of one test."""

    def __init__(self, world: KafkaWorld, bootstrap: str) -> None:
        self.world, self.bootstrap = world, bootstrap
        self.topology, self.connection = world.topology, Connection(bootstrap)
        self.lineages = {m.name: Lineage.of(m, self.topology.target) for m in self.topology.models}
        self.examples = [message.value() for message in self.read("examples")]

    def read(self, role: str) -> list[Any]:
        return read_all(self.bootstrap, self.topology.topic(role))

    async def rebuilt(self, name: str, position: int, key: bytes | None = None) -> Rebuilt:
        return await rebuilt(self.connection, self.topology, self.world.catalog, self.lineages, name, position, key)

    def alone(self, name: str, position: int) -> Fold:
        lineage = self.lineages[name]
        return Replay(lineage, self.topology.target, self.world.catalog.examples, self.examples).at(position)

    def same(self, found: Rebuilt) -> bool:
        rows = [{name: event(n)[name] for name in ("pressure", "temperature")} for n in range(50)]
        alone = self.alone(found.fold.name, found.fold.position)
        return [repr(answer(found.fold, row)) for row in rows] == [repr(answer(alone, row)) for row in rows]


@pytest.fixture
def here(world: KafkaWorld, kafka: str) -> Here:
    return Here(world, kafka)


async def test_any_position_comes_from_the_nearest_snapshot(here: Here) -> None:
    for name, position, start in (("lr", 0, 0), ("lr", 19, 0), ("lr", 41, 40), ("nb", 70, 60)):
        found = await here.rebuilt(name, position)
        assert (found.fold.name, found.fold.position, found.fold.digest) == (name, position, here.lineages[name].digest)
        assert (found.start.position, found.replayed) == (start, position - start)
        assert here.same(found)


async def test_where_a_snapshot_stands_no_example_is_read(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    spans = restore.read_spans

    async def noted(connection: Any, name: str, wanted: Any, *rest: Any) -> None:
        read.extend(tp.topic.rpartition(".")[2] for tp in wanted)
        await spans(connection, name, wanted, *rest)

    monkeypatch.setattr(rebuilding, "read_spans", noted)
    began = time.perf_counter()
    fold = await rebuild(here.connection, here.topology, here.world.catalog, here.lineages, "lr", 40, None)
    assert time.perf_counter() - began < 5
    assert (fold.position, set(read)) == (40, {"models"})
    assert here.same(await here.rebuilt("lr", 40))


async def test_what_a_model_cannot_learn_is_passed_over(here: Here) -> None:
    here.lineages["fussy"] = Lineage.of(Model("fussy", Fussy), here.topology.target)
    found = await here.rebuilt("fussy", 50)
    assert (found.start.position, found.replayed) == (0, 50)
    assert here.same(found)


async def test_the_forks_are_those_of_control(here: Here) -> None:
    control = here.world.catalog.codec("control")
    entry = {"kind": "decision", "action": "exclude", "model": "lr~1", "accepted": True, "parent": "lr", "at": 0}
    entry |= {"from_position": 45, "to_position": 50, "reason": "bad labels", "author": "govern"}
    values = [control.encode(entry), b"junk", control.encode({**entry, "kind": "command", "model": "lr~2"})]
    await asyncio.to_thread(
        produce, here.bootstrap, here.topology.topic("control"), [(None, value) for value in values]
    )
    roster = await read_roster(here.connection, here.topology, control)
    assert list(roster.lineages) == ["lr", "nb", "lr~1"]
    here.lineages = roster.lineages
    found = await here.rebuilt("lr~1", 65)
    assert (found.fold.name, found.start.position, found.replayed) == ("lr~1", 40, 25)
    assert here.same(found)
    assert repr(found.fold.predict({"temperature": 1.0, "pressure": 1000.0})) != repr(
        (await here.rebuilt("lr", 65)).fold.predict({"temperature": 1.0, "pressure": 1000.0})
    )


async def test_what_there_is_not_is_said_in_one_line(here: Here) -> None:
    with pytest.raises(StreammlError, match="rebuilt-on-kafka has no model 'xgb': it has lr, nb"):
        await here.rebuilt("xgb", 5)
    with pytest.raises(
        StreammlError, match=f"holds {EXAMPLES} examples, so there is no lr@500 yet: .* up to {EXAMPLES}"
    ):
        await here.rebuilt("lr", 500)
    with pytest.raises(BrokerError, match="topics missing"):
        await rebuild(here.connection, tiny("nowhere"), here.world.catalog, here.lineages, "lr", 1, None)


async def test_a_snapshot_that_must_not_be_used_costs_only_time(here: Here) -> None:
    # None of these is signed.
    found = await here.rebuilt("lr", 65, key=b"a key")
    assert (found.start.position, found.replayed) == (0, 65)
    lr = here.lineages["lr"]
    chunks = seal(b"junk", model="lr", digest=lr.digest, position=63, offset=5, at=0, key=None)
    codec = here.world.catalog.codec("models")
    rows = [(key.encode(), codec.encode(value)) for key, value in chunks]
    await asyncio.to_thread(produce, here.bootstrap, here.topology.topic("models"), rows)
    found = await here.rebuilt("lr", 65)
    assert found.start.position == 60
    assert here.same(found)


async def test_what_was_deleted_cannot_be_rebuilt(here: Here) -> None:
    """The last test: it deletes what the others need."""
    topic = here.topology.topic("examples")
    cut = here.read("examples")[30].offset()
    await asyncio.to_thread(delete_before, here.bootstrap, topic, cut)
    assert here.same(await here.rebuilt("lr", 20))
    assert here.same(await here.rebuilt("lr", 45))
    for name, position in (("lr", 5), ("lr", 35)):
        with pytest.raises(StreammlError) as refused:
            await here.rebuilt(name, position)
        assert str(refused.value) == (
            f"{topic} begins at offset {cut}, what came before was deleted, and no snapshot that can be used leads to "
            f"{name}@{position}: from position 40 on it can be rebuilt"
        )
