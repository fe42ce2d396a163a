"""A real Apache Kafka of one's own. Law: whatever was left behind, `up` ends in a broker that answers or in one line.

The state of a broker is its directory: settings, data, logs, and `broker.json`, which says what was started last. It is
not trusted without looking: the process must run this very directory, the port answer with this very cluster's id.
"""

from __future__ import annotations

import base64
import json
import random
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from streamml.broker import process
from streamml.broker.artifacts import Progress, cache_home, ensure, locked, read_lock
from streamml.broker.handshake import cluster_at, obstacle
from streamml.broker.lastwords import last_words, log_size
from streamml.broker.settings import HOST, JVM, logging_properties, server_properties
from streamml.errors import BrokerError

LOCK = Path(__file__).with_name("kafka.lock.json")
DEFAULT_DIRECTORY = Path(".streamml/broker")
DEFAULT_PORT = 9092

_POLL = 0.05
_LINGER = 2.0
_OWN_PORTS = range(20000, 32000)  # below the ports that Linux and macOS lend to outgoing connections


@dataclass(frozen=True)
class Status:
    """What is known of a broker. `running`: its process lives; `answers`: it serves clients; `uptime` is in seconds."""

    running: bool
    answers: bool
    pid: int | None
    port: int | None
    bootstrap: str | None
    uptime: float | None
    version: str
    cluster: str | None
    directory: Path
    log: Path


@dataclass(frozen=True)
class _Started:
    pid: int
    port: int


class Broker:
    """The broker of one directory. An object is only a view of it: any process may start, ask and stop it by its own.

    `port` 0 means the port that it had before, or any free one. `tied` ends the broker when the process that started it
    ends, even by SIGKILL. `patience` is how long, in seconds, `up` waits for an answer.

    Every method blocks: from async code, call it through `asyncio.to_thread`.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        port: int = DEFAULT_PORT,
        *,
        tied: bool = False,
        patience: float = 120.0,
    ) -> None:
        if not 0 <= port <= 65535:
            raise BrokerError(f"port {port} does not exist: expected 1 to 65535, or 0 for any free one")
        self.directory = Path(directory).resolve()
        self.port = port
        self.tied = tied
        self.patience = patience
        self.log = self.directory / "logs" / "server.log"

    def up(self, progress: Progress | None = None) -> str:
        """Start the broker unless it runs, wait until it serves clients, and return its bootstrap address.

        The first call of a user fetches Kafka (45 MB) and reports to `progress`; later ones need no network.

        Raises BrokerError: the port is taken, Kafka cannot be fetched, or it ended or stayed silent while it started.
        """
        try:
            with locked(self.directory / ".lock"):
                started = self._running()
                if started is not None and self.port not in (0, started.port):
                    raise BrokerError(
                        f"the broker of {self.directory} already runs on port {started.port}, not {self.port}: "
                        f"use --bootstrap {HOST}:{started.port}, or stop it first"
                    )
                # One that runs may be about to end, killed a moment ago: then it is started like one that does not run.
                if started is None or not self._answers_in_time(started):
                    started = self._start(progress)
                    if not self._answers_in_time(started):
                        reason = last_words(self.directory / "logs", self._last().get("log", 0))
                        raise BrokerError(f"the broker ended while it started: {reason}: see {self.log}")
                return f"{HOST}:{started.port}"
        except OSError as error:
            raise BrokerError(
                f"the broker's files cannot be used ({error}): make room or name another folder"
            ) from error

    def down(self, patience: float = 30.0) -> bool:
        """Stop the broker, cleanly if it manages to within `patience` seconds. False if none ran."""
        if not self.directory.is_dir():
            return False
        with locked(self.directory / ".lock"):
            started = self._running()
            if started is None:
                return False
            if not process.end(started.pid, self.directory, signal.SIGTERM, patience):
                process.end(started.pid, self.directory, signal.SIGKILL, patience)
            return True

    def kill(self) -> bool:
        """End the broker at once with SIGKILL, as a crash would. False if none ran."""
        started = self._running()
        if started is None:
            return False
        return process.end(started.pid, self.directory, signal.SIGKILL, timeout=10.0)

    def status(self) -> Status:
        """Look at the process and at the port; never waits longer than the port takes to answer."""
        started, cluster = self._running(), self._cluster()
        version, _ = read_lock(LOCK)
        return Status(
            running=started is not None,
            answers=started is not None and cluster is not None and cluster_at(HOST, started.port) == cluster,
            pid=started.pid if started else None,
            port=started.port if started else None,
            bootstrap=f"{HOST}:{started.port}" if started else None,
            uptime=process.age(started.pid) if started else None,
            version=version,
            cluster=cluster,
            directory=self.directory,
            log=self.log,
        )

    def _start(self, progress: Progress | None) -> _Started:
        port = self._free_port()
        version, files = read_lock(LOCK)
        jars = ensure(files, cache_home() / f"kafka-{version}", progress)
        (self.directory / "logs").mkdir(exist_ok=True)
        (self.directory / "log4j2.properties").write_text(logging_properties())
        (self.directory / "server.properties").write_text(server_properties(port, _any_free_port(port)))
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(jars)
        written = log_size(self.log)
        pid = process.start(self.directory, JVM, jars, ["server.properties"], self.tied)
        started = {"pid": pid, "port": port, "version": version, "log": written}
        fresh = self.directory / "broker.json.new"
        fresh.write_text(json.dumps(started))
        fresh.replace(self.directory / "broker.json")
        return _Started(pid, port)

    def _format(self, jars: list[Path]) -> None:
        command = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", "server.properties"]
        code, said = process.run(self.directory, jars, command)
        if code != 0:
            reason = next((line for line in reversed(said.splitlines()) if line.strip()), "no reason given")
            raise BrokerError(f"the storage in {self.directory / 'data'} cannot be made ready: {reason.strip()}")

    def _answers_in_time(self, started: _Started) -> bool:
        """Wait for an answer: False if the broker ended instead."""
        until = time.monotonic() + self.patience
        expected = self._cluster()
        while cluster_at(HOST, started.port) != expected:
            if not process.serves(started.pid, self.directory):
                return False
            if time.monotonic() > until:
                raise BrokerError(
                    f"the broker (pid {started.pid}) gave no answer on port {started.port} for {self.patience:g} s: "
                    f"see {self.log}, then start again to go on waiting, or stop it"
                )
            time.sleep(_POLL)
        return True

    def _running(self) -> _Started | None:
        last = self._last()
        pid = last.get("pid")
        if pid is None or not process.serves(pid, self.directory):
            pid = process.find(self.directory)
        if pid is None:
            return None
        return _Started(pid, self._configured_port() or last.get("port", self.port))

    def _free_port(self) -> int:
        before = self._configured_port()
        if self.port == 0:
            return before if before and _soon_free(before) is None else _any_free_port()
        problem = _soon_free(self.port) if self.port == before else obstacle(HOST, self.port)
        if problem is None:
            return self.port
        holder = process.listener_on(self.port)
        what = f"port {self.port} of {HOST} {problem}{f' by {holder}' if holder else ''}"
        if cluster_at(HOST, self.port) is not None:
            what += f", which is a Kafka broker: use it with --bootstrap {HOST}:{self.port}, or"
        else:
            what += ":"
        raise BrokerError(f"{what} choose another port with --port (0 for any free one)")

    def _last(self) -> dict[str, int]:
        """What was started last; empty if nothing was, or if the file was torn by a crash."""
        try:
            last = json.loads((self.directory / "broker.json").read_text())
        except (OSError, ValueError):
            return {}
        return {name: value for name, value in last.items() if isinstance(value, int)} if isinstance(last, dict) else {}

    def _configured_port(self) -> int | None:
        listeners = _property(self.directory / "server.properties", "advertised.listeners")
        return int(listeners.rsplit(":", 1)[1]) if listeners else None

    def _cluster(self) -> str | None:
        return _property(self.directory / "data" / "meta.properties", "cluster.id")


def _property(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{name}=")), None)


def _cluster_id() -> str:
    # Kafka's own form: 16 random bytes in URL-safe base64. One that begins with a dash would be read as an option.
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name


def _soon_free(port: int) -> str | None:
    """The obstacle on a port that was ours: a broker just killed from outside may hold it for a moment more."""
    until = time.monotonic() + _LINGER
    while (problem := obstacle(HOST, port)) is not None and time.monotonic() < until:
        time.sleep(_POLL)
    return problem


def _any_free_port(*taken: int) -> int:
    candidates = random.SystemRandom().sample(_OWN_PORTS, 100)
    for port in candidates:
        if port not in taken and obstacle(HOST, port) is None:
            return port
    raise BrokerError(f"no free port between {_OWN_PORTS.start} and {_OWN_PORTS.stop}: name one with --port")
