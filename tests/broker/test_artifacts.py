"""The cache of fetched files: only what the lock says is ever used, and a whole cache asks nobody for anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamml.broker.artifacts import Artifact, cache_home, ensure, read_lock, sha256_of
from streamml.broker.embedded import LOCK
from streamml.errors import BrokerError

FILES = {f"lib-{n}-1.0.jar": bytes([n]) * 5_000 for n in range(3)}


def artifacts(folder: Path) -> list[Artifact]:
    pins = []
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
        pins.append(Artifact(f"org.example:{name.removesuffix('-1.0.jar')}:1.0", sha256_of(folder / name), len(data)))
        (folder / name).unlink()
    return pins


class Mirror:
    """A Maven repository on this machine. `answers` are the bodies to send for a file in turn; the last one stays."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = {name: [data] for name, data in FILES.items()}
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[1]
                mirror.asked.append(name)
                bodies = mirror.answers.get(name)
                if bodies is None:
                    self.send_error(404)
                    return
                body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
                self.send_response(200)
                self.send_header("Content-Length", str(len(FILES[name])))  # shorter bodies are torn ones
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    own = Mirror()
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\nnear = http://127.0.0.1:{own.server.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    yield own
    own.close()


def test_files_are_fetched_once_and_then_nobody_is_asked(tmp_path: Path, mirror: Mirror) -> None:
    pins, seen = artifacts(tmp_path), list[tuple[int, int]]()
    paths = ensure(pins, tmp_path / "cache", lambda done, total: seen.append((done, total)))
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    assert seen == [(done, 15_000) for done in (0, 5_000, 10_000, 15_000)]
    mirror.asked.clear()
    assert ensure(pins, tmp_path / "cache") == paths
    (tmp_path / "cache" / "verified.json").write_text("torn")
    assert ensure(pins, tmp_path / "cache") == paths, "without its stamps the cache is read again, not fetched"
    assert mirror.asked == []


@pytest.mark.parametrize("damage", ["altered", "cut", "gone"])
def test_a_damaged_file_is_seen_and_fetched_again(tmp_path: Path, mirror: Mirror, damage: str) -> None:
    pins = artifacts(tmp_path)
    victim = ensure(pins, tmp_path / "cache")[1]
    data = victim.read_bytes()
    mirror.asked.clear()
    victim.unlink()
    if damage != "gone":
        victim.write_bytes(data[:-1] if damage == "cut" else b"?" + data[1:])
    assert ensure(pins, tmp_path / "cache")[1].read_bytes() == data
    assert {name for name in mirror.asked if name.endswith(".jar")} == {victim.name}


def test_a_transfer_that_breaks_is_tried_again(tmp_path: Path, mirror: Mirror) -> None:
    whole = FILES["lib-1-1.0.jar"]
    mirror.answers["lib-1-1.0.jar"] = [whole[:2_000], whole]
    paths = ensure(artifacts(tmp_path), tmp_path / "cache")
    assert paths[1].read_bytes() == whole
    assert sorted(p.name for p in (tmp_path / "cache").glob("[!.]*")) == [*FILES, "verified.json"], "no torn files"


def test_a_repository_that_serves_other_bytes_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    mirror.answers["lib-2-1.0.jar"] = [b"!" * 5_000]
    with pytest.raises(BrokerError, match=r"lib-2-1\.0\.jar: its sha256 is \w+, expected \w+") as error:
        ensure(artifacts(tmp_path), tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache" / "lib-2-1.0.jar").exists()


def test_without_a_network_the_first_fetch_says_so_in_one_line(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    Path(os.environ["JGO_CONFIG_FILE"]).write_text(f"[repositories]\nnear = http://127.0.0.1:{port}\n")
    with pytest.raises(
        BrokerError, match=r"lib-0-1\.0\.jar: it cannot be fetched \(.*refused.*\): check the network"
    ) as e:
        ensure(artifacts(tmp_path), tmp_path / "cache")
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 400


def test_two_processes_fetch_one_cache_between_them(tmp_path: Path, mirror: Mirror) -> None:
    pins = artifacts(tmp_path)
    code = (
        "import sys; from pathlib import Path; from streamml.broker.artifacts import Artifact, ensure; "
        f"ensure([{', '.join(map(repr, pins))}], Path(sys.argv[1]))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "cache")]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(name for name in mirror.asked if name.endswith(".jar")) == sorted(FILES)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_own_cache_is_checked_by_content(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, pins = read_lock(LOCK)
    shared, own = cache_home() / f"kafka-{version}", tmp_path / f"kafka-{version}"
    own.mkdir()
    for pin in pins:
        os.link(shared / pin.filename, own / pin.filename)
    small = min(pins, key=lambda pin: pin.size)
    good = (own / small.filename).read_bytes()
    (own / small.filename).unlink()
    (own / small.filename).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # the size alone would not tell
    mirror.answers[small.filename] = [good]
    monkeypatch.setitem(FILES, small.filename, good)
    monkeypatch.setenv("STREAMML_CACHE", str(tmp_path))
    assert ensure(pins, cache_home() / f"kafka-{version}")[0].name == f"kafka_2.13-{version}.jar"
    assert (own / small.filename).read_bytes() == good
    assert [name for name in mirror.asked if name.endswith(".jar")] == [small.filename]
    assert (shared / small.filename).read_bytes() == good
