"""Faust as the host, on a real broker: what it starts, what it sees, and how it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from support.kafka import create_topics, produce
from support.processes import Process, eventually, get, get_json, running
from support.toy_host import decode

from streamml.runtime.connection import Connection
from streamml.runtime.faust_app import Feed, read_history

pytestmark = pytest.mark.kafka


class Hosted:
    """A host in its own process, and the topic that it follows."""

    def __init__(self, bootstrap: str, topic: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self._folder = folder

    @contextmanager
    def run(self, scene: str = "plain") -> Iterator[tuple[Process, str]]:
        with running("-m", "support.toy_host", self.bootstrap, self.topic, str(self._folder), scene) as process:
            port = orjson.loads(process.line('"port"'))["port"]
            yield process, f"http://127.0.0.1:{port}"

    def say(self, *values: bytes | None) -> None:
        produce(self.bootstrap, self.topic, [(b"key", value) for value in values])


@pytest.fixture
def hosted(kafka: str, app_name: str, tmp_path: Path) -> Hosted:
    topic = f"{app_name}.control"
    create_topics(kafka, {topic: 1})
    return Hosted(kafka, topic, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_score_is_started_last_and_a_signal_ends_everything_well(hosted: Hosted, number: signal.Signals) -> None:
    with hosted.run() as (process, url):
        eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)
        assert process.end(number) == 0
    done = [orjson.loads(line) for line in process.lines if '"did"' in line]
    assert [(d["plane"], d["did"]) for d in done[:2]] == [("learn:lr", "start"), ("score", "start")]
    assert sorted((d["plane"], d["did"]) for d in done[2:]) == [("learn:lr", "stop"), ("score", "stop")]
    assert not [line for line in process.lines if "Traceback" in line]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_it_says_where_it_is_and_goes_on_without_telling_a_value(hosted: Hosted, number: signal.Signals) -> None:
    with hosted.run() as (process, url):
        eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)
        process.tell(number)
        process.line("most recent call first")
        assert get(f"{url}/health")[0] == 200
        assert process.end(signal.SIGTERM) == 0
    # Mode's own report has the variables of each frame, as `name = value`.
    assert not [line for line in process.lines if hosted.bootstrap in line]


def test_it_ends_while_its_own_consumer_waits_for_the_broker(hosted: Hosted) -> None:
    with hosted.run("deaf") as (process, url):
        eventually(lambda: get(f"{url}/health")[0], lambda status: status == 200)
        assert process.end(signal.SIGTERM, patience=20) == 0
    assert not [line for line in process.lines if "Traceback" in line or "Warning" in line]


def test_score_waits_for_the_learner_of_its_process_and_the_web_answers_meanwhile(hosted: Hosted) -> None:
    with hosted.run("slow") as (process, url):
        process.line('"learn:lr"')
        body = eventually(lambda: get_json(f"{url}/ready"))
        assert body["missing"] == ["score: has not joined its group", "learn:lr: unit 0 is restoring"]
        assert get(f"{url}/health")[0] == 200
        hosted.say(b'{"n": "restored"}')
        process.line('"score"')
        eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)


def test_a_plane_that_fails_ends_the_process_with_one_line(hosted: Hosted) -> None:
    with hosted.run() as (process, _):
        hosted.say(b'{"n": "break"}')
        line = process.line("ERROR")
        assert process.end() == 1
    assert line.endswith("score unit 3 at shop.events/3 offset 9: the broker refuses")
    assert not [line for line in process.lines if "Traceback" in line]
    assert len([line for line in process.lines if "ERROR" in line]) == 1


def test_a_signal_while_it_stops_for_a_failure_changes_nothing(hosted: Hosted, tmp_path: Path) -> None:
    with hosted.run("held") as (process, url):
        process.line('"stopping"')
        process.tell(signal.SIGTERM)
        assert get(f"{url}/health")[0] == 503
        (tmp_path / "go").write_bytes(b"")
        assert process.end(patience=20) == 1
    assert [line for line in process.lines if '"did":"stop"' in line and "learn:lr" in line]


async def test_history_comes_first_and_what_follows_comes_once(hosted: Hosted) -> None:
    hosted.say(b'{"n": 0}', b'{"n": 1}')
    with hosted.run() as (process, _):
        await _abort(hosted.bootstrap, hosted.topic, b'{"n": 99}')
        hosted.say(b"junk", None, b'{"n": 2}')
        process.line('"record":2')
        assert process.end(signal.SIGTERM) == 0
    told = [line for line in process.lines if '"record"' in line or '"history"' in line]
    assert told == ['{"record":0}', '{"record":1}', '{"history":"read"}', '{"record":2}']
    skipped = [line for line in process.lines if "skipped" in line]
    assert len(skipped) == 2
    assert all(f"{hosted.topic}[0]@" in line and line.endswith("this is no JSON") for line in skipped)


async def test_a_long_topic_is_read_near_its_end_only(hosted: Hosted) -> None:
    hosted.say(*(b'{"n": %d}' % number for number in range(50)))
    seen: list[int] = []
    feed = Feed(hosted.topic, decode, lambda record: seen.append(record["n"]), back=5)
    await read_history(Connection(hosted.bootstrap), f"test.host.{uuid4().hex}", [feed])
    assert seen == [45, 46, 47, 48, 49]


async def _abort(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"t-{uuid4().hex}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, value)
    await producer.abort_transaction()
    await producer.stop()
