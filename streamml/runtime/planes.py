"""The planes of one process. Law: they share the locks, so that no two steps touch one model at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import time

from streamml.engine.catalog import Catalog, subject
from streamml.engine.task import Task
from streamml.records import Batch, Role
from streamml.runtime.connection import Connection
from streamml.runtime.context import Locks
from streamml.runtime.figures import Timed, Timing
from streamml.runtime.plane import Plane
from streamml.runtime.registry import SchemaStore
from streamml.runtime.registry_arrivals import Arrivals, Upgrades
from streamml.topology import Events, Feedback, Topology


class Planes:
    """Makes planes, each with a watch on its agents; `timings` holds what was measured, by task."""

    def __init__(self, topology: Topology, connection: Connection, store: SchemaStore, catalog: Catalog) -> None:
        self._topology, self._connection = topology, connection
        self._store, self._catalog = store, catalog
        self.locks: Locks = {}
        self.timings: dict[str, Timing] = {}

    def make(self, task: Task) -> Plane:
        timing = self.timings.setdefault(task.name, Timing())
        watched, build = "events" if task.name == "score" else None, task.build
        timed = replace(task, build=lambda unit: Timed(build(unit), timing, wall_clock, watched))
        return Plane(
            self._topology.name,
            timed,
            self._connection,
            wall_clock,
            self._topology.topic,
            self.locks,
            prepare=self._prepare(task),
        )

    def _prepare(self, task: Task) -> Callable[[Batch], Awaitable[None]] | None:
        """What is to be asked of the store of schemas before a batch is stepped."""
        outside: dict[Role, Events | Feedback] = {
            "events": self._topology.events,
            "feedback": self._topology.feedback,
        }
        if task.name == "score":
            framed = {
                role: subject(self._topology, role)
                for role in task.inputs
                if role in outside and outside[role].format == "avro"
            }
            return Arrivals(self._store, framed) if framed else None
        catalog = self._catalog
        headers = {role: catalog.codec(role).header for role in task.inputs if role not in outside}
        return Upgrades(self._store, headers, catalog.missing, catalog.asked) if headers else None


def wall_clock() -> int:
    """ms since the epoch."""
    return int(time() * 1000)
