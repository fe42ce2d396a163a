"""What the sessions of one plane share. Law: one object per consumer group; only the plane makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from streamml.engine.task import Task
from streamml.records import Batch, Role
from streamml.runtime.clients import Consumer, Tuning
from streamml.runtime.connection import Connection
from streamml.runtime.outbox import Fault
from streamml.runtime.pace import Gathering

Clock: TypeAlias = Callable[[], int]
"""The time in ms since the epoch."""

Locks: TypeAlias = dict[str, asyncio.Lock]
"""One lock by name of model, shared by all planes of a process: no two steps touch one model at the same time."""


@dataclass
class Counters:
    """What a plane has done since it started; each only ever grows. Seconds are sums."""

    records_in: int = 0
    writes_out: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    transactions: int = 0
    transaction_seconds: float = 0.0
    sessions_opened: int = 0
    sessions_lost: int = 0
    restored: int = 0
    replayed: int = 0
    rebalances: int = 0


@dataclass
class Context:
    """The settings, the consumer and the counters of one plane."""

    app: str
    task: Task
    connection: Connection
    clock: Clock
    topics: Mapping[Role, str]
    locks: Locks
    tuning: Tuning
    fault: Fault | None
    consumer: Consumer
    gathering: Gathering
    prepare: Callable[[Batch], Awaitable[None]] | None = None
    counters: Counters = field(default_factory=Counters)

    def reach(self, point: str) -> None:
        """A point between two steps of the protocol is reached, where a test may kill or raise."""
        if self.fault is not None:
            self.fault(point)

    def own(self, unit: int) -> int:
        """The unit's partition of the task's changelog."""
        return unit if self.task.scope == "partition" else 0

    @property
    def group(self) -> str:
        """The consumer group of the task."""
        return f"{self.app}.{self.task.group}"

    def transactional_id(self, unit: int) -> str:
        """The name under which the unit's owner is fenced."""
        return f"{self.app}-{self.task.group}-{unit}"
