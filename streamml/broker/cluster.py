"""Several real Kafka nodes in one folder. Law: any one of them may be lost; what was acknowledged is on two others.

Each node is broker and controller, in a folder of its own, and a process that can be stopped, killed and started alone:
`Broker` on a node's folder is a view of that node.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streamml.broker import ports
from streamml.broker.artifacts import Progress, locked
from streamml.broker.embedded import DEFAULT_DIRECTORY, DEFAULT_PORT, Broker, Status
from streamml.broker.handshake import serving_at
from streamml.broker.layout import Layout, folder_of, read_layout, write_layout
from streamml.broker.settings import HOST
from streamml.broker.storage import new_cluster_id
from streamml.errors import BrokerError

FEWEST, MOST = 3, 9
_POLL = 0.05


@dataclass(frozen=True)
class ClusterStatus:
    """What is known of a cluster: each node by its number, and the addresses of all once one runs."""

    bootstrap: str | None
    nodes: Mapping[int, Status]
    directory: Path

    @property
    def running(self) -> bool:
        """Whether any node runs."""
        return any(status.running for status in self.nodes.values())

    @property
    def answers(self) -> bool:
        """Whether every node serves clients."""
        return all(status.answers for status in self.nodes.values())


def kafka_in(directory: Path = DEFAULT_DIRECTORY) -> Broker | Cluster:
    """What this directory holds, to look at it or to stop it; a broker if it holds nothing."""
    layout = read_layout(Path(directory))
    return Cluster(directory, len(layout.ports), 0) if layout else Broker(directory, 0)


class Cluster:
    """The cluster of one directory, with nodes 1 to `brokers`. Like `Broker`, an object is only a view of it.

    Node n listens on `port` + n - 1; 0 means the ports that they had before, or any free ones. `tied` and `patience`
    are as for `Broker`. Every method blocks.
    """

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        brokers: int = FEWEST,
        port: int = DEFAULT_PORT,
        *,
        tied: bool = False,
        patience: float = 120.0,
    ) -> None:
        if not FEWEST <= brokers <= MOST:
            raise BrokerError(f"a cluster of {brokers} brokers cannot lose one: expected 1, or {FEWEST} to {MOST}")
        if port and not 0 < port <= 65536 - brokers:
            raise BrokerError(
                f"ports {port} to {port + brokers - 1} do not exist: expected up to 65535, or 0 for free ones"
            )
        self.directory = Path(directory).resolve()
        self.brokers = brokers
        self.port = port
        self.tied = tied
        self.patience = patience

    @property
    def bootstrap(self) -> str | None:
        """The addresses of all nodes, whether they run or not; None before the first start."""
        layout = read_layout(self.directory)
        return ",".join(f"{HOST}:{port}" for port in layout.ports.values()) if layout else None

    def node(self, number: int) -> Broker:
        """One node, to look at, to stop or to kill."""
        if not 1 <= number <= self.brokers:
            raise BrokerError(f"no node {number} in {self.directory}: they are 1 to {self.brokers}")
        return Broker(folder_of(self.directory, number), 0, tied=self.tied, patience=self.patience)

    def up(self, progress: Progress | None = None) -> str:
        """Start every node that does not run, wait until all serve clients, and return the bootstrap addresses.

        Raises BrokerError as `Broker.up` does, and if the directory holds something else.
        """
        try:
            with locked(self.directory / ".lock"):
                layout = self._laid_out()
                with ThreadPoolExecutor(self.brokers) as pool:
                    for done in [pool.submit(self.node(number).up, progress) for number in layout.ports]:
                        done.result()
                self._await_each_other(layout)
        except OSError as error:
            raise BrokerError(
                f"the cluster's files cannot be used ({error}): make room or name another folder"
            ) from error
        return self.bootstrap or ""

    def start(self, number: int) -> str:
        """Start one node, after it was stopped or killed; returns its address once it serves clients."""
        return self.node(number).up()

    def kill(self, number: int) -> bool:
        """End one node at once with SIGKILL, as a crash would. False if it did not run."""
        return self.node(number).kill()

    def down(self, patience: float = 30.0) -> bool:
        """Stop all nodes, cleanly if they manage to within `patience` seconds. False if none ran."""
        # All at once: the last controllers have no quorum left to stop cleanly with, and would wait for it in turn.
        with ThreadPoolExecutor(self.brokers) as pool:
            nodes = [self.node(number) for number in range(1, self.brokers + 1)]
            return any(list(pool.map(lambda node: node.down(patience), nodes)))

    def status(self) -> ClusterStatus:
        """Look at each process and each port."""
        numbers = range(1, self.brokers + 1)
        with ThreadPoolExecutor(self.brokers) as pool:
            found = list(pool.map(lambda number: self.node(number).status(), numbers))
        bootstrap = self.bootstrap if any(status.running for status in found) else None
        return ClusterStatus(bootstrap, dict(zip(numbers, found, strict=True)), self.directory)

    def _laid_out(self) -> Layout:
        """The nodes and their ports: those of the last time while one of them runs."""
        before = read_layout(self.directory)
        if before is None and ((self.directory / "broker.json").exists() or (self.directory / "data").exists()):
            raise BrokerError(
                f"{self.directory} holds a single broker, which cannot become {self.brokers}: "
                "start it with --brokers 1, or name another folder with --directory"
            )
        if before is not None and len(before.ports) != self.brokers:
            raise BrokerError(
                f"{self.directory} holds a cluster of {len(before.ports)} brokers, not {self.brokers}: start it with "
                f"--brokers {len(before.ports)}, or name another folder with --directory"
            )
        if before is not None and any(self.node(number).status().running for number in before.ports):
            if self.port not in (0, before.ports[1]):
                raise BrokerError(
                    f"the cluster of {self.directory} already runs on ports {before.ports[1]} and on, not {self.port}: "
                    f"use --bootstrap {self.bootstrap}, or stop it first"
                )
            return before
        layout = self._new_layout(before)
        write_layout(self.directory, layout)
        return layout

    def _new_layout(self, before: Layout | None) -> Layout:
        numbers = range(1, self.brokers + 1)
        had, had_controllers = (before.ports, before.controllers) if before else ({}, {})
        taken: set[int] = set()

        def own(last: int | None) -> int:
            taken.add(port := ports.kept_or_free(last, taken))
            return port

        if self.port:
            serving = {n: ports.claimed(self.port + n - 1, had.get(n)) for n in numbers}
            taken.update(serving.values())
        else:
            serving = {n: own(had.get(n)) for n in numbers}
        controllers = {n: own(had_controllers.get(n)) for n in numbers}
        return Layout(before.cluster if before else new_cluster_id(), serving, controllers)

    def _await_each_other(self, layout: Layout) -> None:
        """Wait until clients of any node are told of all of them."""
        until, everyone = time.monotonic() + self.patience, frozenset(layout.ports)
        for number, port in layout.ports.items():
            while (found := serving_at(HOST, port)) is None or not found.nodes >= everyone:
                if time.monotonic() > until:
                    raise BrokerError(
                        f"node {number} does not see all of {sorted(everyone)} after {self.patience:g} s: "
                        f"see {self.node(number).log}"
                    )
                time.sleep(_POLL)
