"""Who is woken: drift of the served error and of features, degradation, staleness, bad records, refused snapshots.

Law: one alert per episode. The state stands in a changelog that is committed with the alerts, so a crash repeats
none and forgets none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from streamml.agents.agent import Offsets, Reading
from streamml.agents.reports import SERVED, SERVING, SNAPSHOTS, served_by
from streamml.drift import Incidents, Threshold, Watch
from streamml.errors import DecodeError, SnapshotError
from streamml.evaluation import ShadowedPrequential
from streamml.records import BareRecord, Batch, Record, Write, Writes
from streamml.schemas import Codec, ExampleReader
from streamml.snapshots import dumps, loads
from streamml.topology import Classification, ErrorDrift, FeatureDrift, Topology

CHANGELOG = "detect-changelog"
_MAIN = b""
_SERVED = b"\xff served"
"""Keys in the changelog; those of the detectors are their names, which are UTF-8."""

_REACH = 10_000
"""Labels remembered one by one for the baselines of served predictions."""

_FRESH_MS = 10_000
"""How long a partition's last word counts; one that has moved to another process or fallen silent says no more."""

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
        self._metric = "accuracy" if isinstance(topology.target, Classification) else "mae"
        self._scored = examples.scored
        self._features, self._metrics, self._alerts = features, metrics, alerts
        self._report = report
        self._watches = {d.name: Watch(d) for d in topology.detectors}
        self._errors = [self._watches[d.name] for d in topology.detectors if isinstance(d, ErrorDrift)]
        self._drifts = [(d.feature, self._watches[d.name]) for d in topology.detectors if isinstance(d, FeatureDrift)]
        self._served = ShadowedPrequential(topology.target, topology.window, _REACH)
        self._thresholds = {
            "staleness": Threshold.staleness(),
            "quarantine_rate": Threshold.quarantine_rate(),
            "degradation": Threshold.degradation(self._metric),
        }
        self._refused = Incidents.snapshots(topology.topic("models"))
        self._events = 0
        self._told: dict[str, dict[str, Any]] = {}
        self._saved: dict[bytes, Record] = {}
        self._newest: dict[str, tuple[int, float, float | None]] = {}
        self._recent: dict[str, deque[tuple[int, int]]] = {}
        self._changed = False

    def restore(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is not None:
                self._saved[record.key or _MAIN] = record

    def resume(self, committed: Offsets) -> Offsets:
        # Each part by itself: one that was declared anew starts anew, and takes no other part with it.
        parts: dict[bytes, Callable[[bytes], None]] = {_MAIN: self._restore, _SERVED: self._restore_served}
        parts |= {name.encode(): watch.loads for name, watch in self._watches.items()}
        for key, record in self._saved.items():
            try:
                if key in parts:
                    parts[key](record.value or b"")
            except SnapshotError as error:
                self._report(f"{record.topic}[{record.partition}]@{record.offset}: {error}")
        self._saved.clear()
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        alerts: list[dict[str, Any]] = self._orphans(now)
        metrics: list[Write] = []
        if examples := batch.get("examples"):
            self._on_examples(examples, alerts, metrics, now)
        if reports := batch.get("metrics"):
            self._on_serving(reports, alerts, now)
            alerts += self._refused.feed(self._snapshots_refused(reports), now)
        else:
            alerts += self._refused.feed(0, now)
        if features := batch.get("features"):
            self._on_features(features, alerts, now)
        self._changed = self._changed or any(batch.values()) or bool(alerts)
        for alert in alerts:
            self._told[alert["detector"]] = alert
            if alert["status"] == "closed":
                del self._told[alert["detector"]]
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
        served = (_SERVED, dumps(self._served.state()), now, ())
        return {CHANGELOG: [(_MAIN, dumps(self._state()), now, ()), served, *states]}

    def observe(self) -> Iterable[Reading]:
        for name, is_open in self._open_now().items():
            yield Reading("alarm_open", (("detector", name),), is_open)

    def _open_now(self) -> dict[str, bool]:
        opens = {name: watch.open for name, watch in self._watches.items()}
        opens["snapshots"] = self._refused.open
        return opens | {name: threshold.open for name, threshold in self._thresholds.items()}

    def _orphans(self, now: int) -> list[dict[str, Any]]:
        """What closes the alerts of detectors that were open before a restart and have no memory of it."""
        opens = self._open_now()
        message = "declared otherwise since it was opened: the detector has started anew"
        return [
            {**alert, "status": "closed", "message": message, "at": now}
            for name, alert in self._told.items()
            if not opens.get(name, False)
        ]

    def _on_examples(
        self, examples: Sequence[BareRecord], alerts: list[dict[str, Any]], metrics: list[Write], now: int
    ) -> None:
        losses: list[float | None] = []
        scored, add, close = self._scored, self._served.add, self._served.close
        for record in examples:
            losses.append(add(*scored(record.value)))
            if (found := close()) is not None:
                closed, shadows = found
                metrics.append(self._results(SERVED, closed, now))
                metrics += [self._results(served_by(name), record, now) for name, record in shadows.items()]
                if self._topology.alerts.degradation:
                    got = closed["metrics"].get(self._metric)
                    bound = closed["baselines"]["no_change"].get(self._metric)
                    position = closed["first_position"] + closed["count"]
                    alerts += self._thresholds["degradation"].feed(got, bound, position, now)
        for watch in self._errors:
            alerts += watch.feed(losses, now)

    def _results(self, name: str, closed: Mapping[str, Any], now: int) -> Write:
        value = {**closed, "model": name, "digest": "", "at": now}
        return f"{name}/{closed['window']}".encode(), self._metrics.encode(value), now, ()

    def _on_serving(self, reports: Sequence[BareRecord], alerts: list[dict[str, Any]], now: int) -> None:
        """What the scoring partitions say of themselves, once a second each."""
        policy, bound, seen = self._topology.alerts, self._topology.serving.max_staleness, False
        for record in reports:
            if not (record.key or b"").startswith(SERVING.encode()):
                continue
            report = self._read(record)
            partition, figures = report["model"], report["metrics"]
            if not {"events", "quarantined", "staleness"} <= figures.keys():
                continue  # Anyone may write there.
            self._events += int(figures["events"])
            rate = self._rate(partition, int(figures["events"]), int(figures["quarantined"]))
            self._newest[partition] = (report["at"], figures["staleness"], rate)
            seen = True
        if not seen:
            return
        # The worst partition speaks for all, so that one alert is open while any of them has cause.
        self._newest = {p: found for p, found in self._newest.items() if now - found[0] <= _FRESH_MS}
        staleness = max((found[1] for found in self._newest.values()), default=None)
        rate = max((found[2] for found in self._newest.values() if found[2] is not None), default=None)
        alerts += self._thresholds["staleness"].feed(staleness, bound, self._events, now)
        alerts += self._thresholds["quarantine_rate"].feed(rate, policy.quarantine_rate, self._events, now)

    def _snapshots_refused(self, reports: Sequence[BareRecord]) -> int:
        told = (SERVING.encode(), SNAPSHOTS.encode())
        found = [self._read(r)["metrics"] for r in reports if (r.key or b"").startswith(told)]
        return sum(int(figures.get("snapshots_refused", 0)) for figures in found)

    def _read(self, record: BareRecord) -> dict[str, Any]:
        """The report; an empty one where the bytes are none of ours."""
        try:
            return self._metrics.decode(record.value or b"")
        except DecodeError:
            return {"model": "", "metrics": {}, "at": 0}

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

    def _on_features(self, features: Sequence[BareRecord], alerts: list[dict[str, Any]], now: int) -> None:
        rows = [self._features.decode(record.value or b"")["values"] for record in features]
        for feature, watch in self._drifts:
            alerts += watch.feed([_number(row.get(feature)) for row in rows], now)

    def _state(self) -> dict[str, Any]:
        return {
            "thresholds": {name: threshold.state() for name, threshold in self._thresholds.items()},
            "refused": self._refused.state(),
            "events": self._events,
            "told": self._told,
            "newest": self._newest,
            "recent": {partition: list(reports) for partition, reports in self._recent.items()},
        }

    def _restore_served(self, data: bytes) -> None:
        self._served.restore(loads(data))

    def _restore(self, data: bytes) -> None:
        state = loads(data)
        for name, threshold in self._thresholds.items():
            threshold.restore(state["thresholds"][name])
        if "refused" in state:  # Not in a state of before there was such an alert.
            self._refused.restore(state["refused"])
        self._events, self._told, self._newest = state["events"], state["told"], state["newest"]
        self._recent = {partition: deque(reports) for partition, reports in state["recent"].items()}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
