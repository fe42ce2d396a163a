"""A worker as a user runs it: a process on a real broker, looked at over HTTP, ended by a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka.admin import AdminClient
from support.kafka import produce
from support.processes import Process, eventually, get, get_json, running
from support.tiny import event, label, tiny
from support.tiny_worker import topology_file

from streamml.broker import Broker
from streamml.engine.catalog import Catalog, schemas_of, subject
from streamml.errors import DeclarationError, StreammlError
from streamml.runtime.connection import Connection
from streamml.runtime.registry_topic import TopicRegistry
from streamml.runtime.web import listen
from streamml.runtime.worker import SaidOnce, WorkerOptions, choose, prepare, work


class Farm:
    """Workers of one application."""

    def __init__(self, bootstrap: str, app: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.app = app
        self.file = topology_file(folder, app)
        self._catalog = Catalog.in_memory(tiny(app, partitions=2))

    @contextmanager
    def worker(self, only: str = "") -> Iterator[tuple[Process, str]]:
        """A worker, and the address of its pages."""
        with running("-m", "support.tiny_worker", str(self.file), self.bootstrap, "--only", only) as process:
            url = process.line("status on ").rpartition("status on ")[2].rstrip("/")
            yield process, url

    def produce(self, first: int, last: int) -> None:
        """Events and their labels, an event at a time as far as the clock of the labels is concerned."""
        events, labels = (self._catalog.codec(role) for role in ("events", "feedback"))
        numbers = range(first, last)
        produce(self.bootstrap, f"{self.app}.events", [(b"%d" % n, events.encode(event(n))) for n in numbers])
        produce(self.bootstrap, f"{self.app}.feedback", [(b"%d" % n, labels.encode(label(n))) for n in numbers])

    def command(self, model: str) -> None:
        """Ask for a champion."""
        command = {
            "kind": "command",
            "action": "promote",
            "model": model,
            "position": None,
            "accepted": None,
            "reason": "try it",
            "author": "a test",
            "command": None,
            "at": int(time.time() * 1000),
        }
        produce(self.bootstrap, f"{self.app}.control", [(None, self._catalog.codec("control").encode(command))])


@pytest.fixture
def farm(kafka: str, app_name: str, tmp_path: Path) -> Farm:
    return Farm(kafka, app_name, tmp_path)


def ready(url: str) -> None:
    """Return once all units run."""
    eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)


def alive(url: str) -> None:
    """Return once its pages answer."""
    eventually(lambda: get(f"{url}/health")[0], lambda status: status == 200)


def model(url: str, name: str) -> dict[str, Any]:
    status = get_json(f"{url}/status.json")
    return next(m for m in status["models"] if m["name"] == name)


@pytest.mark.kafka
def test_one_process_does_all_and_goes_on_where_it_ended(farm: Farm) -> None:
    with farm.worker() as (process, url):
        ready(url)
        farm.produce(0, 24)
        eventually(lambda: model(url, "lr")["position"], lambda position: position == 24)
        eventually(lambda: model(url, "lr")["metrics"])
        text = get(f"{url}/metrics")[1].decode()
        assert 'streamml_live_position{model="nb"} 24.0' in text
        assert "streamml_event_to_commit_seconds_count" in text
        farm.command("nb")
        eventually(lambda: get_json(f"{url}/status.json")["champion"], lambda name: name == "nb")
        assert process.end(signal.SIGTERM) == 0
    assert not [line for line in process.lines if "Traceback" in line or "ERROR" in line]

    with farm.worker() as (process, url):
        ready(url)
        assert get_json(f"{url}/status.json")["champion"] == "nb"
        assert model(url, "lr")["position"] == 24
        farm.produce(24, 30)
        eventually(lambda: model(url, "lr")["position"], lambda position: position == 30)
        assert process.end(signal.SIGTERM) == 0


@pytest.mark.kafka
def test_in_several_processes_the_scorer_follows_the_learner(farm: Farm) -> None:
    with farm.worker("match,learn,detect,govern") as (learner, there), farm.worker("score") as (scorer, here):
        for url in (here, there):
            ready(url)
        farm.produce(0, 24)
        eventually(lambda: model(there, "lr")["position"], lambda position: position == 24)
        # A snapshot was written at 20; what is committed after it is at least 4 examples.
        eventually(lambda: model(here, "lr")["position"], lambda position: position == 20)
        assert eventually(lambda: model(here, "lr")["staleness"], lambda staleness: staleness >= 4) < 24
        assert scorer.end(signal.SIGTERM) == 0
        assert learner.end(signal.SIGTERM) == 0


def test_without_a_broker_it_waits_with_one_line_and_ends_with_one(tmp_path: Path) -> None:
    file = topology_file(tmp_path, "nowhere")
    with running("-m", "support.tiny_worker", str(file), "127.0.0.1:9", "--wait", "1") as process:
        process.line("waiting up to 1 s for a Kafka broker")
        assert process.end() == 1
    assert len(process.lines) == 2
    assert "no Kafka broker answers at 127.0.0.1:9" in process.lines[1]


async def test_a_port_in_use_is_said_before_anything_is_waited_for() -> None:
    with listen("127.0.0.1", 0) as taken:
        options = WorkerOptions("nowhere", Connection("127.0.0.1:9"), web_port=taken.port)
        with pytest.raises(StreammlError, match=rf"cannot listen on 127\.0\.0\.1:{taken.port} .*another --web-port"):
            await work(options, tiny("nowhere"), [])


@pytest.mark.kafka
def test_what_the_broker_refuses_ends_a_worker_with_one_line(farm: Farm) -> None:
    with farm.worker() as (process, url):
        ready(url)
        asyncio.run(_shrink(farm.bootstrap, f"{farm.app}.predictions"))
        farm.produce(0, 4)
        assert process.end() == 1
    # Both units may have met it by then: each line tells of another, and what ended the worker is the first.
    said = [line for line in process.lines if "the broker refuses" in line]
    messages = [line.partition(" unit ")[2] for line in said]
    assert len(set(messages)) == len(messages) > 0
    assert [line for line in said if " ERROR " in line] == said[:1]


async def _shrink(bootstrap: str, topic: str) -> None:
    """Let the topic take no record any more, however small."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1"})])
    finally:
        await client.close()


@pytest.mark.kafka
def test_workers_that_start_at_once_get_ports_of_their_own(farm: Farm) -> None:
    with running_both(farm) as workers:
        urls = [process.line("status on ").rpartition("status on ")[2].rstrip("/") for process in workers]
        assert len(set(urls)) == 2
        for url in urls:
            alive(url)
        assert [process.end(signal.SIGTERM) for process in workers] == [0, 0]


@pytest.mark.kafka
@pytest.mark.parametrize("line", ["status on ", "lr serves", " ready"])
@pytest.mark.parametrize("only", ["score", "govern"])
def test_a_worker_that_is_told_to_stop_while_it_starts_stops(farm: Farm, only: str, line: str) -> None:
    with running("-m", "support.tiny_worker", str(farm.file), farm.bootstrap, "--only", only) as process:
        process.line(line)
        assert process.end(signal.SIGTERM, patience=20) == 0
    assert not [line for line in process.lines if "Traceback" in line or "Warning" in line]


@pytest.mark.kafka
def test_workers_that_are_told_to_stop_without_their_broker_stop(tmp_path: Path, app_name: str) -> None:
    broker = Broker(tmp_path / "kafka", port=0, tied=True)
    try:
        farm = Farm(broker.up(), app_name, tmp_path)
        with farm.worker("score,match,learn,detect") as (one, there), farm.worker("govern") as (other, here):
            for url in (there, here):
                ready(url)
            farm.produce(0, 24)
            # Faust has read what it has not committed yet.
            eventually(lambda: model(here, "lr")["metrics"])
            broker.kill()
            for process in (one, other):
                process.tell(signal.SIGTERM)
            assert [process.end(patience=30) for process in (one, other)] == [0, 0]
    finally:
        broker.kill()


STUBBORN = """
import asyncio, sys
from streamml.runtime import worker

async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            print("not yet", flush=True)

async def life():
    kept.append(asyncio.create_task(stubborn()))
    await asyncio.sleep(0)
    return 7

kept = []
worker._REST_S = 0.1
asyncio.run(worker._until_signalled(life))
"""


def test_what_does_not_end_is_left_with_the_exit_code() -> None:
    ran = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (7, "not yet\n"), ran.stderr


CUT = """
import asyncio
from streamml.runtime import worker

async def life():
    raise asyncio.CancelledError

raise SystemExit(asyncio.run(worker._until_signalled(life)))
"""


def test_a_cancellation_that_nobody_asked_for_is_no_orderly_end() -> None:
    ran = subprocess.run([sys.executable, "-c", CUT], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "something cancelled the worker from within" in ran.stderr


@contextmanager
def running_both(farm: Farm) -> Iterator[tuple[Process, Process]]:
    """Two processes, neither of which has been waited for."""
    arguments = ("-m", "support.tiny_worker", str(farm.file), farm.bootstrap, "--only")
    with running(*arguments, "govern") as one, running(*arguments, "detect") as other:
        yield one, other


def test_what_ends_a_worker_is_said_once() -> None:
    said, heard = SaidOnce(), []
    for level, line in (
        (logging.WARNING, "the broker refuses"),
        (logging.ERROR, "the broker  refuses"),
        (logging.WARNING, "the broker refuses"),
        (logging.WARNING, "while stopping: the broker refuses"),
        (logging.WARNING, "something else"),
        (logging.ERROR, "the broker refuses"),
    ):
        if said.filter(logging.LogRecord("streamml", level, "", 0, line, None, None)):
            heard.append((logging.getLevelName(level), line))
    assert heard == [
        ("WARNING", "the broker refuses"),
        ("ERROR", "the broker  refuses"),
        ("WARNING", "something else"),
        ("ERROR", "the broker refuses"),
    ]


def test_a_signal_ends_the_waiting(tmp_path: Path) -> None:
    file = topology_file(tmp_path, "nowhere")
    with running("-m", "support.tiny_worker", str(file), "127.0.0.1:9") as process:
        process.line("waiting up to 30 s")
        assert process.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("text", "only", "seed", "says"),
    [
        ("topology = 1 / 0", "", "0", "ZeroDivisionError"),
        ("x = 1", "", "0", "holds 0 topologies"),
        (None, "lern", "0", "no task 'lern'"),
        (None, "", "7", "PYTHONHASHSEED"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str | None, only: str, seed: str, says: str) -> None:
    file = topology_file(tmp_path, "nowhere")
    if text is not None:
        file.write_text(text)
    arguments = ("-m", "support.tiny_worker", str(file), "127.0.0.1:9", "--only", only)
    with running(*arguments, env={"PYTHONHASHSEED": seed}) as process:
        assert process.end() == 1
    assert len(process.lines) == 1
    assert says in process.lines[0]


def test_tasks_are_chosen_by_name_and_all_learners_by_one() -> None:
    topology = tiny("shop")
    everything = ["score", "match", "learn:lr", "learn:nb", "detect", "govern"]
    assert choose(topology, []) == choose(topology, [""]) == everything
    assert choose(topology, ["learn", "score"]) == ["score", "learn:lr", "learn:nb"]
    assert choose(topology, ["learn:nb "]) == ["learn:nb"]
    with pytest.raises(DeclarationError, match=r"no task 'learn:x' in shop; --only takes learn, score, .*govern"):
        choose(topology, ["score", "learn:x"])


@pytest.mark.kafka
async def test_an_incompatible_schema_is_refused_before_anything_is_created(kafka: str, app_name: str) -> None:
    topology, connection = tiny(app_name), Connection(kafka)
    earlier = TopicRegistry(app_name, connection)
    was = {"type": "record", "name": "Weather", "fields": [{"name": "id", "type": "long"}]}
    await earlier.register(subject(topology, "events"), was)
    await earlier.close()
    store = TopicRegistry(app_name, connection)
    with pytest.raises(StreammlError, match=f"{app_name}.events-value"):
        await prepare(topology, connection, store)
    await store.close()
    admin = AdminClient({"bootstrap.servers": kafka})
    assert [t for t in admin.list_topics(timeout=10).topics if t.startswith(f"{app_name}.")] == [f"{app_name}.schemas"]


@pytest.mark.kafka
async def test_preparing_twice_changes_nothing(kafka: str, app_name: str) -> None:
    topology, connection = tiny(app_name), Connection(kafka)
    ids = []
    for _ in range(2):
        store = TopicRegistry(app_name, connection)
        ids.append(await prepare(topology, connection, store))
        assert {len(store.registry.versions(subject(topology, role))) for role in schemas_of(topology)} == {1}
        await store.close()
    assert ids[0] == ids[1]
    assert ids[0].keys() == schemas_of(topology).keys()
