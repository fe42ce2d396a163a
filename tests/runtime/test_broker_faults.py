"""What a worker does when its broker fails, comes late or loses a topic, and how long its partitions wait for another.

Everything is run as a user runs it, by `streamml run`; stalls are what a consumer of predictions waits.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from zlib import crc32

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from crash.ledger import Judge, await_all
from crash.lives import Phase, Worker, free_port
from crash.weather import PARTITIONS, Load, topology_file, weather
from support.arrivals import Arrivals
from support.kafka import read_all
from support.processes import Process, eventually, running

from streamml import Topology
from streamml.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(300)]

AWAY = 20.0
"""How long a broker is missed, in s: longer than sessions and transactions live."""

SESSION = 6.0
"""After how long, in s, a group takes a silent member for dead: `Tuning.session_timeout_ms`."""


@pytest.fixture(autouse=True)
def same_hashes() -> None:
    """The judge opens the workers' snapshots, which is refused to a process that hashes otherwise."""
    assert os.environ.get("PYTHONHASHSEED") == "0", "start pytest with PYTHONHASHSEED=0, as `make test` does"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    own = Broker(tmp_path / "kafka", free_port(), tied=True)
    yield own
    own.kill()


def source(message: Message) -> int:
    """The partition of `events` that an answered event lay on: librdkafka's partitioner."""
    return crc32(message.key() or b"") % PARTITIONS


def errors(process: Process) -> list[str]:
    return [line for line in process.lines if "ERROR" in line or "Traceback" in line]


def test_a_worker_outlives_a_broker_that_is_killed_and_one_that_is_away(
    broker: Broker, app_name: str, tmp_path: Path
) -> None:
    bootstrap, topology, stalls = broker.up(), weather(app_name), list[float]()
    load = Load(bootstrap, topology, "outage")
    with ExitStack() as stack:
        worker = Worker(stack, bootstrap, topology_file(tmp_path, app_name))
        worker.start()
        worker.reach(Phase.JOINING)
        load.start()
        try:
            worker.reach(Phase.SERVING)
            arrivals = stack.enter_context(Arrivals(bootstrap, topology.topic("predictions"), PARTITIONS))
            eventually(lambda: arrivals.since(0.0), lambda count: count > 20)
            for away in (0.0, AWAY):
                killed = time.monotonic()
                broker.kill()
                time.sleep(away)
                broker.up()
                up = time.monotonic()
                eventually(partial(arrivals.since, up), lambda count: count > 100)
                stalls.append(arrivals.longest_gap(killed) - (up - killed))
        finally:
            load.stop()
        sent = load.events(100)
        logs = await_all(bootstrap, topology, sent)
        worker.stop()
    print(f"\nfirst prediction {[round(stall, 1) for stall in stalls]} s after the broker was up again")
    Judge(topology, logs, sent).all()
    assert max(stalls) < 30


def test_a_worker_that_is_there_before_its_broker_says_so_once_and_goes_on(
    broker: Broker, app_name: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        worker = Worker(stack, f"127.0.0.1:{broker.port}", topology_file(tmp_path, app_name))
        worker.start()
        waiting = worker.process.line(f"waiting up to 60 s for a Kafka broker at 127.0.0.1:{broker.port}")
        broker.up()
        worker.process.line("INFO    ready")
        worker.stop()
    assert [line for line in worker.process.lines if "WARNING" in line] == [waiting]


def delete(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([topic], operation_timeout=30)[topic].result(30)


def answered(bootstrap: str, topology: Topology) -> set[bytes]:
    return {message.key() or b"" for message in read_all(bootstrap, topology.topic("predictions"))}


@pytest.mark.parametrize("role", ["events", "predictions"])
def test_a_topic_deleted_under_a_worker_ends_it_and_a_new_one_is_worked_on_from_its_beginning(
    kafka: str, app_name: str, tmp_path: Path, role: str
) -> None:
    topology, file = weather(app_name), topology_file(tmp_path, app_name)
    topic = topology.topic("events" if role == "events" else "predictions")
    old, new = Load(kafka, topology, "old"), Load(kafka, topology, "new")
    new.ticks = 1_000_000  # Other ids.
    with ExitStack() as stack:
        worker = Worker(stack, kafka, file)
        worker.start()
        worker.reach(Phase.JOINING)
        old.events(200)
        eventually(lambda: answered(kafka, topology), lambda found: found == old.sent.events.keys())
        delete(kafka, topic)
        if role == "predictions":
            old.events(20)  # There is something to answer, and nowhere to put it.
        assert worker.process.end() == 1
        (line,) = errors(worker.process)
        assert f"topic {topic} was deleted while this worker ran" in line
        assert "streamml apply" in line

        with running("-m", "streamml", "run", str(file), "--bootstrap", kafka, "--web-port", "0") as unapplied:
            assert unapplied.end() == 1
        assert f"is not applied to {kafka} ({topic})" in unapplied.lines[-1]

        worker.start()  # It makes the topic again.
        worker.reach(Phase.JOINING)
        new.events(20)
        ids = list(old.sent.events)
        kept = ids if role == "events" else ids[200:]  # The predictions of the others went with the topic.
        eventually(lambda: answered(kafka, topology), lambda found: found == {*kept, *new.sent.events})
        worker.stop()


def units(worker: Worker) -> list[int]:
    """The partitions that a worker scores, once it is at work on them; empty otherwise."""
    status = worker.status()
    if not status or not status["ready"]:
        return []
    return next(list(task["units"]) for task in status["tasks"] if task["name"] == "score")


def test_the_partitions_of_a_worker_that_ends_are_soon_anothers(kafka: str, app_name: str, tmp_path: Path) -> None:
    topology, file = weather(app_name), topology_file(tmp_path, app_name)
    load, gaps = Load(kafka, topology, "moves"), dict[str, list[float]](SIGTERM=[], SIGKILL=[])
    with ExitStack() as stack:
        pair = [Worker(stack, kafka, file) for _ in range(2)]
        pair[0].start()
        pair[0].reach(Phase.JOINING)
        pair[1].start()
        load.start()
        try:
            arrivals = stack.enter_context(Arrivals(kafka, topology.topic("predictions"), PARTITIONS, source))
            for victim, number in (
                (pair[0], signal.SIGTERM),
                (pair[1], signal.SIGTERM),
                (pair[0], signal.SIGKILL),
            ):
                eventually(lambda: sorted(units(worker) for worker in pair), lambda split: split == [[0], [1]])
                told = time.monotonic()
                eventually(partial(arrivals.since, told), lambda count: count > 20)
                told = time.monotonic()
                victim.process.tell(number)
                over = SESSION if number is signal.SIGKILL else 2.0
                eventually(partial(arrivals.since, told + over), lambda count: count > 20)
                gaps[number.name].append(arrivals.longest_gap(told))
                assert victim.process.end() == (0 if number is signal.SIGTERM else -number)
                if number is signal.SIGTERM:
                    victim.start()
        finally:
            load.stop()
        logs = await_all(kafka, topology, load.sent)
        pair[1].stop()
    print(f"\nlongest time without predictions of a partition: {gaps}")
    Judge(topology, logs, load.sent).each_once()
    assert min(gaps["SIGTERM"]) < 2.0
    assert max(gaps["SIGTERM"]) < SESSION - 1.0, "the group was told, it did not have to find out"
    assert max(gaps["SIGKILL"]) < SESSION + 6.0
