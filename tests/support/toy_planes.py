"""Planes without Kafka, for what stands around the data plane: the host, the figures, the web pages."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from streamml.agents.agent import Reading
from streamml.agents.live import LiveModels
from streamml.engine.task import Task
from streamml.models import Fold
from streamml.records import TopicPartition
from streamml.runtime.board import Board
from streamml.runtime.context import Counters
from streamml.runtime.figures import Timing
from streamml.runtime.monitoring import Sources
from streamml.topology import Topology


class ToySession:
    """A unit that is in whatever state a test sets."""

    def __init__(self, unit: int, readings: Iterable[Reading]) -> None:
        self.unit = unit
        self.state = "running"
        self._readings = list(readings)

    def observe(self) -> list[Reading]:
        return self._readings


class ToyPlane:
    """A plane that runs as soon as it is started; `broken` is what its check raises, `log` what was asked of it."""

    def __init__(self, name: str, units: int = 1, readings: Iterable[Reading] = ()) -> None:
        self.task = Task(name, ("events",), ("features",), "partition", build=lambda unit: cast(Any, SimpleNamespace()))
        self.counters = Counters()
        self.sessions: dict[int, ToySession] = {}
        self.ready = False
        self.broken: Exception | None = None
        self.log: list[str] = []
        self._units = {unit: ToySession(unit, readings) for unit in range(units)}

    def lag(self) -> dict[TopicPartition, int]:
        return {TopicPartition(f"shop.{self.task.name}", unit): 3 + unit for unit in self.sessions}

    async def start(self) -> None:
        self.log.append("start")
        self.settle()

    def settle(self) -> None:
        """Have every unit at work."""
        self.sessions, self.ready = self._units, True

    async def stop(self) -> None:
        self.log.append("stop")

    def check(self) -> None:
        if self.broken is not None:
            raise self.broken


def sources_of(topology: Topology, *planes: ToyPlane) -> Sources:
    """All that a worker with these planes could tell; each model is live, at position 100 and more."""
    live = LiveModels(topology.champion)
    for number, model in enumerate(topology.models):
        fold = Fold.new(model, topology.target)
        fold.position = 100 + number
        live.lead(fold)
    live.behind = lambda name: 7
    timings = {plane.task.name: Timing() for plane in planes}
    return Sources(topology, list(planes), live, Board(topology), timings=timings)


def metric(model: str, window: int, accuracy: float) -> dict[str, Any]:
    """A record of `metrics`."""
    return {
        "model": model,
        "digest": "d",
        "window": window,
        "first_position": window * 10,
        "count": 10,
        "scored": 10,
        "metrics": {"accuracy": accuracy},
        "cumulative": {"accuracy": accuracy - 0.1},
        "baselines": {"no_change": {"accuracy": 0.5}},
        "baselines_cumulative": {"no_change": {"accuracy": 0.4}},
        "losses": [0.0] * 10,
        "at": 1_000,
    }


def alert(name: str, status: str, at: int = 1_000) -> dict[str, Any]:
    """A record of `alerts`."""
    return {
        "alert": name,
        "detector": "error",
        "kind": "drift",
        "status": status,
        "message": "the error rose from 0.1 to 0.3",
        "value": 0.3,
        "threshold": None,
        "position": 5,
        "opened_at": 900,
        "at": at,
    }


def decision(model: str, accepted: bool = True, at: int = 1_000) -> dict[str, Any]:
    """A record of `control`."""
    return {
        "kind": "decision",
        "action": "promote",
        "model": model,
        "position": None,
        "accepted": accepted,
        "reason": "it is better",
        "author": "govern",
        "command": None,
        "at": at,
    }
