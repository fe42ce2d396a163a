"""The whole: one frozen value that a user's file declares and everything else is derived from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from streamml.records import Role
from streamml.topology.detectors import Detector
from streamml.topology.gates import Gate
from streamml.topology.models import Model, Target
from streamml.topology.rules import Rule
from streamml.topology.sources import Events, Feedback
from streamml.topology.transforms import Transform


@dataclass(frozen=True)
class Serving:
    """`max_staleness`: examples that the served model may lie behind the head of `examples` before it is alerted."""

    max_staleness: int = 10_000


@dataclass(frozen=True)
class Snapshots:
    """A snapshot of each model is written after `every` examples, or after `interval` if there was a new example."""

    every: int = 5_000
    interval: timedelta = timedelta(seconds=10)


@dataclass(frozen=True)
class Alerts:
    """Beside the detectors: `quarantine_rate` (share of the last `window` events), `degradation` (the served metric,
    accuracy or MAE, of a window is worse than that of the no-change baseline), and staleness by
    `Serving.max_staleness`."""

    quarantine_rate: float | None = 0.05
    degradation: bool = True
    window: int = 1_000


@dataclass(frozen=True)
class Topology:
    """One streaming ML application. `name` prefixes every topic; `window` is the number of positions in a metrics
    window; without a `gate` only people promote."""

    name: str
    events: Events
    transform: Transform
    target: Target
    models: tuple[Model, ...]
    feedback: Feedback
    rules: tuple[Rule, ...] = ()
    detectors: tuple[Detector, ...] = ()
    alerts: Alerts = field(default_factory=Alerts)
    serving: Serving = field(default_factory=Serving)
    snapshots: Snapshots = field(default_factory=Snapshots)
    gate: Gate | None = None
    window: int = 1_000
    partitions: int = 4

    def __post_init__(self) -> None:
        for name in ("models", "rules", "detectors"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def topic(self, role: Role) -> str:
        """The name of the topic that carries `role`."""
        return f"{self.name}.{role}"

    @property
    def champion(self) -> str:
        """The model that serves from the start: the first one declared."""
        return self.models[0].name
