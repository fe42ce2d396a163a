"""Real data through the whole topology gives what River alone gives, to the last bit, and the same on both runtimes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.elec2 import label_of, river_alone, rows
from support.world import KafkaWorld, MemoryWorld, World

from streamml import Topology, load_topology


@pytest.fixture
def electricity(app_name: str) -> Topology:
    return replace(load_topology("electricity"), name=app_name)


def lockstep(world: World, count: int, delay: int) -> None:
    """Row by row: first the label that is due, until it is learned, then the event, until it is predicted."""
    stream = list(rows(count))
    for number, row in enumerate(stream):
        if number >= delay:
            world.produce("feedback", label_of(stream[number - delay], delay))
            world.learned(number - delay + 1)
        world.produce("events", row.event)
        world.predicted(number + 1)


def test_served_predictions_are_those_of_river_alone(electricity: Topology) -> None:
    world = MemoryWorld(electricity)
    lockstep(world, 4_000, 48)
    predictions = world.until("predictions", 4_000)
    assert [p["position"] for p in predictions] == [max(0, n - 47) for n in range(4_000)]
    assert [p["output"] for p in predictions] == river_alone(electricity, 4_000, 48)


def test_prequential_results_are_those_of_river_alone(electricity: Topology) -> None:
    world = MemoryWorld(electricity)
    stream = list(rows(5_000))
    for row in stream:
        world.produce("events", row.event)
    world.settle()
    for row in stream:
        world.produce("feedback", label_of(row, 48))
    outputs = river_alone(electricity, 5_000, 1)
    right = sum(said["label"] == row.label for said, row in zip(outputs, stream, strict=True))
    metrics = [m for m in world.until("metrics", 10) if m["model"] == "lr"]
    assert metrics[-1]["cumulative"]["accuracy"] == right / 5_000


@pytest.mark.kafka
def test_kafka_and_the_driver_give_the_same_bytes(electricity: Topology, kafka: str) -> None:
    memory, broker = MemoryWorld(electricity), KafkaWorld(electricity, kafka)
    try:
        for world in (memory, broker):
            lockstep(world, 150, 20)
        for role in ("features", "predictions", "labels", "examples"):
            ours = memory.raw(role)
            broker.wait(role, len(ours))
            theirs = broker.raw(role)
            assert [(r.key, r.value) for r in ours] == [(r.key, r.value) for r in theirs], role
        assert len(memory.raw("examples")) == 130
    finally:
        broker.close()
