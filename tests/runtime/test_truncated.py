"""A log whose beginning is deleted, on real Kafka: nobody jumps over what is gone in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from runtime.planes import Echo, make_topics, plane, running, until
from support.kafka import produce, read_all
from support.tiny import event, label, tiny
from support.truncating import delete_before
from support.world import KafkaWorld

from streamml.engine.rebuild import Replay
from streamml.engine.task import Task
from streamml.errors import StreammlError
from streamml.records import Batch, Writes

pytestmark = pytest.mark.kafka


@pytest.fixture
def world(kafka: str, app_name: str) -> Iterator[KafkaWorld]:
    made = KafkaWorld(tiny(app_name), kafka)
    yield made
    made.close()


def feed(world: KafkaWorld, numbers: range) -> None:
    for number in numbers:
        world.produce("events", event(number))
    world.until("predictions", numbers.stop)
    for number in numbers:
        world.produce("feedback", label(number))
    world.until("examples", numbers.stop)
    world.settle()


def offset_of(world: KafkaWorld, kafka: str, position: int) -> int:
    offset = read_all(kafka, world.topology.topic("examples"))[position].offset()
    assert offset is not None
    return offset


def test_a_learner_goes_on_from_a_snapshot_behind_the_cut_and_is_refused_without_one(
    world: KafkaWorld, kafka: str
) -> None:
    feed(world, range(25))
    examples = [message.value() for message in read_all(kafka, world.topology.topic("examples"))]
    # Its snapshot stands right behind example 19. A transaction's marker may follow: if it were deleted too, nobody
    # could tell that it was no example.
    delete_before(kafka, world.topology.topic("examples"), offset_of(world, kafka, 19) + 1)
    world.crash()
    world.learned(25)
    served = world.live.get("lr")
    assert served is not None
    whole = Replay(world.topology.models[0], world.topology.target, world.catalog.examples, examples).at(25)
    row = {name: event(3)[name] for name in ("pressure", "temperature")}
    assert repr(served.predict(row)) == repr(whole.predict(row))

    start = offset_of(world, kafka, 2)
    delete_before(kafka, world.topology.topic("examples"), start)
    with pytest.raises(StreammlError) as refused:
        world.crash()
    topic = world.topology.topic("examples")
    assert f"{topic}/0 begins at offset {start}: what {world.topology.name}.learn." in str(refused.value)
    assert "models exclude TOPOLOGY" in str(refused.value)


async def test_what_is_deleted_under_a_reader_is_told(
    kafka: str, app_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be one thing to lose records, and another to lose them in silence."""
    begun, go = asyncio.Event(), asyncio.Event()
    offsets: list[int] = []

    async def held_up(batch: Batch) -> None:
        begun.set()
        await go.wait()

    class Noting(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            offsets.extend(record.offset for record in batch.get("in", ()))
            return super().step(batch, now)

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    rows = [(b"k", b"%06d" % number + bytes(50_000)) for number in range(200)]
    await asyncio.to_thread(produce, kafka, f"{app_name}.in", rows, partition=0)
    task = Task("echo", ("in",), ("out",), "partition", Noting)
    slow = plane(kafka, app_name, task, prepare=held_up)
    async with running(slow):
        await begun.wait()
        await asyncio.to_thread(delete_before, kafka, f"{app_name}.in", 190)
        go.set()
        await until(lambda: offsets and offsets[-1] == 199, slow)
    last = max(offset for offset in offsets if offset < 190)
    assert last < 189
    assert f"offsets {last + 1} to 189 of {app_name}.in/0 were deleted by retention" in caplog.text
    assert slow.counters.sessions_lost == 1
