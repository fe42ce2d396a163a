"""Who is woken: drift of the served error and of features, degradation, staleness, the share of bad records.

Law: one alert per episode. The state stands in a changelog that is committed with the alerts, so a crash repeats
none and forgets none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from streamml.agents.agent import Offsets, Reading
from streamml.agents.quarantine import REASON
from streamml.drift import Threshold, Watch
from streamml.errors import DecodeError, SnapshotError
from streamml.evaluation import ServedPrequential
from streamml.records import Batch, Record, Write, Writes
from streamml.schemas import Codec, ExampleReader
from streamml.snapshots import allow, dumps, loads
from streamml.topology import Classification, ErrorDrift, FeatureDrift, Topology

CHANGELOG = "detect-changelog"
_REACH = 10_000
"""Labels remembered one by one for the baselines of served predictions."""

_CALM_MS = 60_000
"""Without a quarantined record for so long, the rate is taken to be zero again."""


_ENOUGH = 100
"""Events of a partition before a share of them means anything."""


class Detect:
    """All detectors of a topology, over whole topics."""

    def __init__(
        self,
        topology: Topology,
        examples: ExampleReader,
        predictions: Codec,
        features: Codec,
        metrics: Codec,
        alerts: Codec,
        quarantine: Codec,
        report: Callable[[str], None],
    ) -> None:
        self._topology = topology
        self._classes = isinstance(topology.target, Classification)
        self._metric = "accuracy" if self._classes else "mae"
        self._served_of = examples.served
        self._predictions, self._features, self._quarantine = predictions, features, quarantine
        self._metrics, self._alerts = metrics, alerts
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
        self._predicted = 0
        self._bad = 0
        self._bad_at: int | None = None
        self._recent_bad: dict[int, deque[int]] = {}
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
                    self._restore(loads(record.value, allow(self._served)))
            except SnapshotError as error:
                self._report(f"{record.topic}[{record.partition}]@{record.offset}: {error}")

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        alerts: list[dict[str, Any]] = []
        metrics: list[Write] = []
        if examples := batch.get("examples"):
            self._on_examples(examples, alerts, metrics, now)
        if predictions := batch.get("predictions"):
            self._on_predictions(predictions, alerts, now)
        if features := batch.get("features"):
            self._on_features(features, alerts, now)
        self._on_quarantine(batch.get("quarantine", ()), alerts, now)
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
        for record in examples:
            y, prediction = self._served_of(record.value or b"")
            losses.append(self._served.add(y, prediction["output"], prediction["position"]))
            if (closed := self._served.close()) is not None:
                value = {**closed, "model": "served", "digest": "", "at": now}
                metrics.append((f"served/{closed['window']}".encode(), self._metrics.encode(value), now, ()))
                if self._topology.alerts.degradation:
                    got = closed["metrics"].get(self._metric)
                    bound = closed["baselines"]["no_change"].get(self._metric)
                    position = closed["first_position"] + closed["count"]
                    alerts += self._thresholds["degradation"].feed(got, bound, position, now)
        for watch in self._errors:
            alerts += watch.feed(losses, now)

    def _on_predictions(self, predictions: Sequence[Record], alerts: list[dict[str, Any]], now: int) -> None:
        self._predicted += len(predictions)
        # The staleness of a batch is one figure, so the last record of each partition speaks for all.
        last = {record.partition: record for record in predictions}
        staleness = max(self._predictions.decode(r.value or b"")["staleness"] for r in last.values())
        bound = self._topology.serving.max_staleness
        alerts += self._thresholds["staleness"].feed(staleness, bound, self._predicted, now)

    def _on_features(self, features: Sequence[Record], alerts: list[dict[str, Any]], now: int) -> None:
        rows = [self._features.decode(record.value or b"")["values"] for record in features]
        for feature, watch in self._drifts:
            alerts += watch.feed([_number(row.get(feature)) for row in rows], now)

    def _on_quarantine(self, records: Sequence[Record], alerts: list[dict[str, Any]], now: int) -> None:
        """The rate follows from where the bad records stood in their topic: k of them within w offsets are k of w
        events."""
        bound, window = self._topology.alerts.quarantine_rate, self._topology.alerts.window
        if bound is None:
            return
        events = self._topology.topic("events")
        threshold = self._thresholds["quarantine_rate"]
        for record in records:
            source = self._source(record)
            if source is None or source[0] != events:
                continue
            _, partition, offset = source
            self._bad += 1
            self._bad_at = now
            recent = self._recent_bad.setdefault(partition, deque())
            recent.append(offset)
            while recent[0] <= offset - window:
                recent.popleft()
            seen = min(window, offset + 1)
            if seen >= min(window, _ENOUGH):
                alerts += threshold.feed(len(recent) / seen, bound, self._bad, now)
        if threshold.open and self._bad_at is not None and now - self._bad_at >= _CALM_MS:
            self._recent_bad.clear()
            alerts += threshold.feed(0.0, bound, self._bad, now)

    def _source(self, record: Record) -> tuple[str, int, int] | None:
        """The topic, partition and offset that a quarantined record came from."""
        reason = dict(record.headers).get(REASON)
        if reason is None:
            return None
        try:
            why = self._quarantine.decode(reason)
        except DecodeError:
            return None
        return why["topic"], why["partition"], why["offset"]

    def _state(self) -> dict[str, Any]:
        return {
            "served": self._served,
            "thresholds": {name: threshold.state() for name, threshold in self._thresholds.items()},
            "predicted": self._predicted,
            "bad": self._bad,
            "bad_at": self._bad_at,
            "recent_bad": {p: list(offsets) for p, offsets in self._recent_bad.items()},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._served = state["served"]
        for name, threshold in self._thresholds.items():
            threshold.restore(state["thresholds"][name])
        self._predicted, self._bad, self._bad_at = state["predicted"], state["bad"], state["bad_at"]
        self._recent_bad = {p: deque(offsets) for p, offsets in state["recent_bad"].items()}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
