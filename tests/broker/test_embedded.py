"""The embedded Kafka as a user meets it: it starts, it stays, it survives, and it says what is wrong in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import psutil
import pytest
from support.kafka import create_topics, produce, read_all

from streamml.broker import Broker
from streamml.errors import BrokerError

pytestmark = pytest.mark.kafka

NO_PROXY_THERE = "http://127.0.0.1:9"
UP = "import sys; from pathlib import Path; from streamml.broker import Broker; "


@pytest.fixture(autouse=True)
def without_a_network(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka was fetched, if need be, for the shared broker: from here on nothing may ask the network for anything."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, NO_PROXY_THERE)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    # Kafka's own lists are split at commas, and Java is picky about letters in paths: users are not.
    own = Broker(tmp_path / "a dïr, with all", port=0, tied=True)
    yield own
    own.kill()


def until(condition: Callable[[], bool], patience: float = 20.0) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def python(code: str, *arguments: str) -> Popen[str]:
    return Popen([sys.executable, "-c", UP + code, *arguments], stdin=PIPE, stdout=PIPE, text=True)


def one_line(error: pytest.ExceptionInfo[BrokerError]) -> str:
    said = str(error.value)
    assert "\n" not in said
    return said


def test_its_life(broker: Broker) -> None:
    before = broker.status()
    assert (before.running, before.answers, before.pid, before.bootstrap, before.cluster) == (False,) * 2 + (None,) * 3
    assert broker.down() is False

    bootstrap = broker.up()
    assert broker.up() == Broker(broker.directory, port=0).up() == bootstrap, "a second up finds the first"

    status = broker.status()
    assert (status.running, status.answers, status.bootstrap, status.version) == (True, True, bootstrap, "4.3.1")
    assert bootstrap == f"127.0.0.1:{status.port}"
    assert status.uptime is not None
    assert 0 <= status.uptime < 60
    assert status.log.exists()
    process = psutil.Process(status.pid)
    assert sum(process.cpu_times()[:2]) < 10, "ready within 10 s of a processor, however busy the machine is"
    assert process.memory_info().rss < 512 * 2**20
    listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}, "nobody else on the network can reach it"

    assert broker.down() is True
    assert broker.down() is False
    assert broker.status().running is False
    assert broker.status().cluster == status.cluster, "the data stays"


def test_a_broker_killed_amid_its_work_starts_again_with_its_data(broker: Broker) -> None:
    bootstrap = broker.up()
    create_topics(bootstrap, {"t": 2})
    records = [(f"{number}".encode(), b"v" * 100) for number in range(1_000)]
    produce(bootstrap, "t", records)
    first = broker.status()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    assert broker.up() == bootstrap, "clients find it where it was"
    again = broker.status()
    assert again.cluster == first.cluster
    assert again.pid != first.pid
    assert {message.key() for message in read_all(bootstrap, "t")} == {key for key, _ in records}


def test_two_at_once_start_one_broker_that_outlives_both(tmp_path: Path) -> None:
    broker = Broker(tmp_path, port=0)
    starters = [python("print(Broker(Path(sys.argv[1]), 0).up())", str(tmp_path)) for _ in range(2)]
    try:
        said = [starter.communicate(timeout=60)[0].strip() for starter in starters]
        assert [starter.returncode for starter in starters] == [0, 0]
        assert said[0] == said[1] == broker.status().bootstrap
        assert broker.status().answers
        with pytest.raises(BrokerError, match="already runs on port") as error:
            Broker(tmp_path, port=9).up()
        assert f"--bootstrap {said[0]}" in one_line(error)
        assert Broker(tmp_path).down() is True, "whatever port the stopper thinks of"
    finally:
        broker.kill()


def test_a_tied_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path, port=0)
    starter = python("print(Broker(Path(sys.argv[1]), 0, tied=True).up(), flush=True); sys.stdin.read()", str(tmp_path))
    try:
        assert starter.stdout is not None
        assert starter.stdout.readline().strip() == broker.status().bootstrap
        starter.kill()
        starter.communicate()
        until(lambda: not broker.status().running)
    finally:
        starter.kill()
        broker.kill()


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path, kafka: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} of 127.0.0.1 is in use") as error:
            Broker(tmp_path, port).up()
        assert f"pid {os.getpid()}" in one_line(error)
        assert "--port" in one_line(error)
    with pytest.raises(BrokerError, match=f"which is a Kafka broker: use it with --bootstrap {kafka}"):
        Broker(tmp_path, int(kafka.rsplit(":", 1)[1])).up()
    with pytest.raises(BrokerError, match="port 70000 does not exist"):
        Broker(tmp_path, 70000)


def test_a_pid_file_of_another_time_harms_nobody(broker: Broker) -> None:
    bystander = python("sys.stdin.read()")
    try:
        broker.directory.mkdir()
        notes = broker.directory / "broker.json"
        notes.write_text(json.dumps({"pid": bystander.pid, "port": 20000}))
        assert broker.status().running is False
        assert broker.kill() is broker.down() is False
        broker.up()
        assert bystander.poll() is None
        # The notes are lost or torn while the broker runs: it is found all the same.
        expected = broker.status().pid
        for torn in ("", '{"pid": 12', json.dumps({"pid": bystander.pid})):
            notes.write_text(torn)
            assert broker.status().pid == expected
        broker.up()
        assert broker.down() is True
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_a_start_that_was_cut_short_is_taken_up_again(broker: Broker) -> None:
    data = broker.directory / "data"
    data.mkdir(parents=True)
    (data / "bootstrap.checkpoint").write_bytes(b"")  # killed while the storage was made ready
    assert broker.up() == broker.status().bootstrap


def test_a_broker_that_ends_at_its_start_says_why_and_where_to_look(broker: Broker) -> None:
    data = broker.directory / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=7\n")
    with pytest.raises(BrokerError, match=r"ended while it started: .*node.?id.* 7") as error:
        broker.up()
    assert f"see {broker.log}" in one_line(error)
    assert broker.status().running is False


def test_a_broker_that_hangs_is_told_from_one_that_answers(broker: Broker) -> None:
    broker.up()
    pid = broker.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    status = broker.status()
    assert (status.running, status.answers) == (True, False)
    with pytest.raises(BrokerError, match=r"gave no answer on port \d+ for 0\.1 s") as error:
        Broker(broker.directory, port=0, patience=0.1).up()
    assert str(pid) in one_line(error)
    assert broker.down(patience=0.2) is True, "what does not stop is killed"
    assert broker.status().running is False


def test_a_directory_that_cannot_be_one_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match="files cannot be used") as error:
        Broker(tmp_path / "file" / "broker", port=0).up()
    assert str(tmp_path / "file") in one_line(error)
