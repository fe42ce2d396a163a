"""Records in a quarantine as a worker puts them there, written without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamml import Topology
from streamml.agents.quarantine import Quarantine
from streamml.engine.catalog import Catalog
from streamml.records import LogRecord
from support.kafka import produce


class Refusals:
    """Writes to the quarantine of an applied topology whose schemas are kept in its topic."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self.bootstrap = bootstrap
        self.topology = topology
        self._catalog = Catalog.in_memory(topology)

    def add(self, value: bytes | None, *, key: bytes | None = b"k", **reason: Any) -> str:
        """One more, refused as `add_all` says; the place that it has got."""
        return self.add_all([(key, value)], **reason)[0]

    def add_all(
        self,
        rows: Sequence[tuple[bytes | None, bytes | None]],
        headers: Sequence[tuple[str, Any]] = (),
        rule: str = "range",
        agent: str = "validate",
        role: str = "events",
        partition: int = 0,
        offset: int = 0,
        timestamp: int = 1_700_000_000_000,
        at: int = 1_760_000_000_000,
        field: str | None = None,
        into: int = 0,
    ) -> list[str]:
        """One more of each (key, value), with one reason for all of them; their places."""
        made = Quarantine(self._catalog.codec("quarantine"), agent)
        topic = role if "." in role else self.topology.topic(role)
        first = LogRecord(topic, partition, offset, timestamp, None, b"", tuple(headers))
        refused = made.refuse(first, rule, f"of no use to {rule}", at, field)
        placed = produce(
            self.bootstrap,
            self.topology.topic("quarantine"),
            [(key, value, timestamp) for key, value in rows],
            partition=into,
            headers=list(refused[3]),
        )
        return [f"{p}@{o}" for p, o in placed]
