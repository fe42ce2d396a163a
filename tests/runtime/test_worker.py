"""A worker as a user runs it: a process on a real broker, looked at over HTTP, ended by a signal."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from support.kafka import produce
from support.processes import Process, eventually, get, get_json, running
from support.tiny import event, label, tiny
from support.tiny_worker import topology_file

from streamml.engine.catalog import Catalog, schemas_of, subject
from streamml.errors import DeclarationError, StreammlError
from streamml.runtime.connection import Connection
from streamml.runtime.registry_topic import TopicRegistry
from streamml.runtime.worker import choose, prepare


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
