"""The join with its state on disk, on real Kafka: restarts read what is new, and a lost disk costs time only."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny import event, label, tiny
from support.world import KafkaWorld

from streamml.stores import Store

pytestmark = pytest.mark.kafka


def test_pending_labels_outlive_crashes_and_a_lost_disk(kafka: str, app_name: str, tmp_path: Path) -> None:
    topology = tiny(app_name)
    topology = replace(topology, feedback=replace(topology.feedback, store="disk"))
    world = KafkaWorld(topology, kafka, state_dir=tmp_path)
    restored: list[int] = []

    def events(numbers: range) -> None:
        for number in numbers:
            world.produce("events", event(number))
        world.until("predictions", numbers.stop)
        world.settle()

    def crash() -> None:
        world.crash()
        restored.append(world.plane("match").counters.restored)

    try:
        events(range(200))
        crash()  # The disk holds all but, perhaps, what was committed last.
        events(range(200, 300))
        shutil.rmtree(tmp_path)  # It is open: what was written meanwhile is lost with it.
        crash()
        for number in range(300):
            world.produce("feedback", label(number))
        examples = world.until("examples", 300)
        world.settle()
        crash()
        for number in range(297, 300):
            world.produce("feedback", label(number))
        events(range(300, 301))
        world.settle()
        assert sorted(int(e["features"]["id"]) for e in examples) == list(range(300))
        assert len(world.raw("examples")) == 300
        assert restored[0] < 10
        assert restored[1] > 300
        assert restored[2] < 10
        readings = {(r.name, r.labels): r.value for r in world.plane("match").sessions[0].observe()}
        assert readings["match_total", (("outcome", "doubled_label"),)] == 3
        assert readings["pending", ()] == 1
    finally:
        world.close()


def test_a_folder_in_use_by_another_worker_is_no_obstacle(
    kafka: str, app_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topology = tiny(app_name)
    topology = replace(topology, feedback=replace(topology.feedback, store="disk"))
    zombie = Store(tmp_path / "match-0")
    world = KafkaWorld(topology, kafka, state_dir=tmp_path)
    try:
        world.produce("events", event(0))
        world.produce("feedback", label(0))
        world.until("examples", 1)
        assert "has the state in" in caplog.text
    finally:
        world.close()
        zombie.close()
    assert [path.name for path in tmp_path.iterdir()] == ["match-0"]
