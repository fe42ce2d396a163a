"""A real Apache Kafka of one's own. Law: whatever was left behind, `up` ends in a broker that answers or in one line.

The state of a broker is its directory: settings, data, logs, and `broker.json`, which says what was started last. It is
not trusted without looking: the process must run this very directory, the port answer with this very cluster's id.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from streamml.broker import ports, process
from streamml.broker.artifacts import Progress, cache_home, ensure, locked, read_lock
from streamml.broker.fencing import fence_former, was_killed
from streamml.broker.handshake import serving_at
from streamml.broker.lastwords import last_words, log_size
from streamml.broker.layout import Layout, membership, read_layout
from streamml.broker.settings import (
    ALONE,
    CLIENTS,
    CONTROLLERS,
    HOST,
    Door,
    Node,
    jvm,
    logging_properties,
    ports_in,
    server_properties,
)
from streamml.broker.storage import cluster_of, make_ready, new_cluster_id
from streamml.errors import BrokerError

LOCK = Path(__file__).with_name("kafka.lock.json")
DEFAULT_DIRECTORY = Path(".streamml/broker")
DEFAULT_PORT = 9092

_POLL = 0.05


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
    ends, even by SIGKILL. `patience` is how long, in seconds, `up` waits for an answer. `doors` are listeners beside
    the usual one, by name, each with the port that clients are told there: a proxy's, which leads to `door(name)`.

    Every method blocks: from async code, call it through `asyncio.to_thread`.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        port: int = DEFAULT_PORT,
        *,
        tied: bool = False,
        patience: float = 120.0,
        doors: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        if not 0 <= port <= 65535:
            raise BrokerError(f"port {port} does not exist: expected 1 to 65535, or 0 for any free one")
        for name, advertised in doors.items():
            _check_door(name, advertised)
        self.directory = Path(directory).resolve()
        self.port = port
        self.tied = tied
        self.patience = patience
        self.doors = dict(doors)
        self.log = self.directory / "logs" / "server.log"

    def up(self, progress: Progress | None = None) -> str:
        """Start the broker unless it runs, wait until it serves clients, and return its bootstrap address.

        The first call of a user fetches Kafka (45 MB) and reports to `progress`; later ones need no network.

        Raises BrokerError: the port is taken, Kafka cannot be fetched, or it ended or stayed silent while it started.
        """
        if layout := read_layout(self.directory):
            raise BrokerError(
                f"{self.directory} holds a cluster of {len(layout.ports)} brokers: start it with "
                f"--brokers {len(layout.ports)}, or name another folder with --directory"
            )
        try:
            with locked(self.directory / ".lock"):
                started = self._running()
                if started is not None:
                    self._check_same(started)
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

    def door(self, name: str) -> int:
        """The port on which the broker listens for a door: where a proxy leads to. It stays the same in later starts.

        Raises BrokerError for a door that the broker of this directory was never started with.
        """
        port = self._configured().get(name)
        if port is None:
            raise BrokerError(
                f"the broker of {self.directory} has no door {name}: start it with doors={{{name!r}: PORT}}"
            )
        return port

    def status(self) -> Status:
        """Look at the process and at the port; never waits longer than the port takes to answer."""
        started, cluster = self._running(), cluster_of(self.directory)
        version, _ = read_lock(LOCK)
        return Status(
            running=started is not None,
            answers=started is not None and self._answers(started),
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
        member = membership(self.directory)
        node, cluster = self._node(member), member[1].cluster if member else new_cluster_id()
        version, files = read_lock(LOCK)
        jars = ensure(files, cache_home() / f"kafka-{version}", progress)
        (self.directory / "logs").mkdir(exist_ok=True)
        (self.directory / "log4j2.properties").write_text(logging_properties())
        (self.directory / "server.properties").write_text(server_properties(node))
        make_ready(self.directory, jars, cluster)
        if member is None and was_killed(self.directory):
            fence_former(self.directory, node, jars, self.tied)
        written = log_size(self.log)
        pid = process.start(self.directory, jvm(node), jars, ["server.properties"], self.tied)
        started = {"pid": pid, "port": node.port, "version": version, "log": written}
        fresh = self.directory / "broker.json.new"
        fresh.write_text(json.dumps(started))
        fresh.replace(self.directory / "broker.json")
        return _Started(pid, node.port)

    def _node(self, member: tuple[int, Layout] | None) -> Node:
        """What is to be started: on the ports of the last time, as far as they are free and nothing else is asked."""
        before = self._configured()
        if member:
            id, layout = member
            port, voters = ports.claimed(layout.ports[id], layout.ports[id]), layout.controllers
            if self.port not in (0, port):
                raise BrokerError(
                    f"node {id} of {self.directory.parent} has port {port}, not {self.port}: pass 0 or {port}"
                )
        else:
            id, usual = ALONE, before.get(CLIENTS)
            port = ports.claimed(self.port, usual) if self.port else ports.kept_or_free(usual)
            voters = {id: ports.any_free({port, *self.doors.values()})}
        doors: dict[str, Door] = {}
        taken = {port, *voters.values(), *self.doors.values()}
        for name, advertised in self.doors.items():
            listens = ports.kept_or_free(before.get(name), taken)
            taken.add(listens)
            doors[name] = Door(listens, advertised)
        return Node(port, voters, id, doors)

    def _check_same(self, started: _Started) -> None:
        """Raise BrokerError if the broker that runs is not the one that is asked for."""
        if self.port not in (0, started.port):
            raise BrokerError(
                f"the broker of {self.directory} already runs on port {started.port}, not {self.port}: "
                f"use --bootstrap {HOST}:{started.port}, or stop it first"
            )
        told = self._configured("advertised.listeners")
        for name, advertised in self.doors.items():
            if told.get(name) != advertised:
                there = f"tells clients port {told[name]} at" if name in told else "has no"
                raise BrokerError(f"the broker of {self.directory} runs and {there} door {name}: stop it first")

    def _answers_in_time(self, started: _Started) -> bool:
        """Wait for an answer: False if the broker ended instead."""
        until = time.monotonic() + self.patience
        while not self._answers(started):
            if not process.serves(started.pid, self.directory):
                return False
            if time.monotonic() > until:
                raise BrokerError(
                    f"the broker (pid {started.pid}) gave no answer on port {started.port} for {self.patience:g} s: "
                    f"see {self.log}, then start again to go on waiting, or stop it"
                )
            time.sleep(_POLL)
        return True

    def _answers(self, started: _Started) -> bool:
        """Whether it is this broker that answers, and its controller has let it in."""
        member, found = membership(self.directory), serving_at(HOST, started.port)
        node = member[0] if member else ALONE
        return found is not None and found.cluster == cluster_of(self.directory) and node in found.nodes

    def _running(self) -> _Started | None:
        last = self._last()
        pid = last.get("pid")
        if pid is None or not process.serves(pid, self.directory):
            pid = process.find(self.directory)
        if pid is None:
            return None
        return _Started(pid, self._configured().get(CLIENTS) or last.get("port", self.port))

    def _last(self) -> dict[str, int]:
        """What was started last; empty if nothing was, or if the file was torn by a crash."""
        try:
            last = json.loads((self.directory / "broker.json").read_text())
        except (OSError, ValueError):
            return {}
        return {name: value for name, value in last.items() if isinstance(value, int)} if isinstance(last, dict) else {}

    def _configured(self, listeners: str = "listeners") -> dict[str, int]:
        """The ports by listener of the last start."""
        try:
            return ports_in((self.directory / "server.properties").read_text(), listeners)
        except (OSError, ValueError):
            return {}


def _check_door(name: str, advertised: int) -> None:
    if not re.fullmatch("[A-Z][A-Z0-9_]*", name) or name in (CLIENTS, CONTROLLERS):
        raise BrokerError(f"{name!r} cannot name a door: use capital letters, and neither {CLIENTS} nor {CONTROLLERS}")
    if not 0 < advertised <= 65535:
        raise BrokerError(f"door {name}: port {advertised} does not exist: expected 1 to 65535")
