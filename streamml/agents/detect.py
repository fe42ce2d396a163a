"""Who is woken: drift of the served error and of features, degradation, staleness, the share of bad records.

Law: one alert per episode. The state stands in a changelog that is committed with the alerts, so a crash repeats
none and forgets none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from streamml.agents.agent import Offsets, Reading
from streamml.drift import Threshold, Watch
from streamml.errors import SnapshotError
from streamml.evaluation import ServedPrequential
from streamml.records import Batch, Record, Write, Writes
from streamml.schemas import Codec, ExampleReader
from streamml.snapshots import dumps, loads
from streamml.topology import Classification, ErrorDrift, FeatureDrift, Topology

CHANGELOG = "detect-changelog"
_REACH = 10_000
"""Labels remembered one by one for the baselines of served predictions."""

_ENOUGH = 100
"""Events before a share of them means anything."""


class Detect:
    """All detectors of a topology, over whole topics."""

    def __init__(
        self,
        topology: Topology,
        examples: ExampleReader,
        features: Codec,
        metrics: Codec,
        alerts: Codec,
        report: Callable[[str], None],
    ) -> None:
        self._topology = topology
        self._classes = isinstance(topology.target, Classification)
        self._metric = "accuracy" if self._classes else "mae"
        self._scored = examples.scored
        self._features, self._metrics, self._alerts = features, metrics, alerts
        self._report = report
        self._watches = {d.name: Watch(d) for d in topology.detectors}
        self._errors = [self._watches[d.name] for d in topology.detectors if isinstance(d, ErrorDrift)]
        self._drifts = [(d.feature, self._watches[d.name]) for d in topology.detectors if isinstance(d, FeatureDrift)]
        self._served = ServedPrequential(topology.target, topology.window, _REACH)
        self._thresholds = {
            "staleness": Threshold.staleness(),
            "quarantine_rate": Threshold.quarantine_rate(),
            "degradation": Threshold.degradation(self._metric),
        }
        self._events = 0
        self._recent: dict[str, deque[tuple[int, int]]] = {}
        self._changed = False

    def restore(self, records: Sequence[Record]) -> None:
        for record in records:
            name = (record.key or b"").decode()
            if record.value is None:
                continue
            try:
                if name in self._watches:
                    self._watches[name].loads(record.value)
                elif name == "":
                    self._restore(loads(record.value))
            except SnapshotError as error:
                self._report(f"{record.topic}[{record.partition}]@{record.offset}: {error}")

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        alerts: list[dict[str, Any]] = []
        metrics: list[Write] = []
        if examples := batch.get("examples"):
            self._on_examples(examples, alerts, metrics, now)
        if reports := batch.get("metrics"):
            self._on_serving(reports, alerts, now)
        if features := batch.get("features"):
            self._on_features(features, alerts, now)
        self._changed = self._changed or any(batch.values()) or bool(alerts)
        writes: Writes = {}
        if alerts:
            encode = self._alerts.encode
            writes["alerts"] = [(a["detector"].encode(), encode(a), now, ()) for a in alerts]
        if metrics:
            writes["metrics"] = metrics
        return writes

    def checkpoint(self, now: int) -> Writes:
        if not self._changed:
            return {}
        self._changed = False
        states = [(name.encode(), watch.dumps(), now, ()) for name, watch in self._watches.items()]
        return {CHANGELOG: [(b"", dumps(self._state()), now, ()), *states]}

    def observe(self) -> Iterable[Reading]:
        opens = {name: watch.open for name, watch in self._watches.items()}
        opens |= {name: threshold.open for name, threshold in self._thresholds.items()}
        for name, is_open in opens.items():
            yield Reading("alarm_open", (("detector", name),), is_open)

    def _on_examples(
        self, examples: Sequence[Record], alerts: list[dict[str, Any]], metrics: list[Write], now: int
    ) -> None:
        losses: list[float | None] = []
        scored, add, close = self._scored, self._served.add, self._served.close
        for record in examples:
            losses.append(add(*scored(record.value)))
            if (closed := close()) is not None:
                value = {**closed, "model": "served", "digest": "", "at": now}
                metrics.append((f"served/{closed['window']}".encode(), self._metrics.encode(value), now, ()))
                if self._topology.alerts.degradation:
                    got = closed["metrics"].get(self._metric)
                    bound = closed["baselines"]["no_change"].get(self._metric)
                    position = closed["first_position"] + closed["count"]
                    alerts += self._thresholds["degradation"].feed(got, bound, position, now)
        for watch in self._errors:
            alerts += watch.feed(losses, now)

    def _on_serving(self, reports: Sequence[Record], alerts: list[dict[str, Any]], now: int) -> None:
        """What the scoring partitions say of themselves, once a second each."""
        policy, bound = self._topology.alerts, self._topology.serving.max_staleness
        for record in reports:
            if not (record.key or b"").startswith(b"serving/"):
                continue
            report = self._metrics.decode(record.value or b"")
            partition, figures = report["model"], report["metrics"]
            self._events += int(figures["events"])
            alerts += self._thresholds["staleness"].feed(figures["staleness"], bound, self._events, now)
            if policy.quarantine_rate is not None:
                rate = self._rate(partition, int(figures["events"]), int(figures["quarantined"]))
                alerts += self._thresholds["quarantine_rate"].feed(rate, policy.quarantine_rate, self._events, now)

    def _rate(self, partition: str, events: int, quarantined: int) -> float | None:
        """The share of bad ones among the last `Alerts.window` events or a little more; None while there are too
        few."""
        recent = self._recent.setdefault(partition, deque())
        recent.append((events, quarantined))
        total = sum(count for count, _ in recent)
        while total - recent[0][0] >= self._topology.alerts.window:
            total -= recent.popleft()[0]
        if total < min(self._topology.alerts.window, _ENOUGH):
            return None
        return sum(bad for _, bad in recent) / total

    def _on_features(self, features: Sequence[Record], alerts: list[dict[str, Any]], now: int) -> None:
        rows = [self._features.decode(record.value or b"")["values"] for record in features]
        for feature, watch in self._drifts:
            alerts += watch.feed([_number(row.get(feature)) for row in rows], now)

    def _state(self) -> dict[str, Any]:
        return {
            "served": self._served.state(),
            "thresholds": {name: threshold.state() for name, threshold in self._thresholds.items()},
            "events": self._events,
            "recent": {partition: list(reports) for partition, reports in self._recent.items()},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._served.restore(state["served"])
        for name, threshold in self._thresholds.items():
            threshold.restore(state["thresholds"][name])
        self._events = state["events"]
        self._recent = {partition: deque(reports) for partition, reports in state["recent"].items()}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
