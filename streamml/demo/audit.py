"""The audit of a run. Law: it knows the declaration and the topics, and nothing of the processes that ran.

Its input is the records of the topics as any read_committed consumer gets them; so it runs as well over the logs of the
`testing.Driver`. It is exact: one lost event of a million is found, and so is one bit of one prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from streamml.demo.flow import Flow, Logs, first_by_key, follow
from streamml.demo.rebuilt import Rebuilt, rebuild
from streamml.demo.scores import Score, Served, losses_of, metric_of, score
from streamml.engine.catalog import Catalog
from streamml.records import Record
from streamml.topology import Target, Topology

SERVED = "served"
"""The name under which `metrics` carries the results of the predictions as they were served."""

Quantiles: TypeAlias = dict[str, float]
"""`p50` and `p99`, in milliseconds; empty where there was nothing to measure."""


@dataclass(frozen=True)
class ModelResult:
    """The prequential result of one model over the first `positions` examples, as it stands in `metrics`."""

    positions: int
    model: float | None
    no_change: float | None
    prior: float | None


@dataclass(frozen=True)
class Audit:
    """What an audit found. `failures` has one line for each law that was broken; it is empty after a good run."""

    metric: str
    flow: Flow
    rebuilt: Rebuilt
    served: Score
    models: Mapping[str, ModelResult]
    positions: int
    """The highest position at which a prediction was made."""
    alerts_opened: int
    alerts_open: int
    alerts: tuple[str, ...]
    latency: Quantiles
    """From the event's Kafka timestamp to the moment at which its prediction was made."""
    sent_at: Mapping[bytes, int]
    """The Kafka timestamp (ms) of each event, by key."""
    events_per_second: float | None
    """Predictions over the time from the first event's Kafka timestamp to the last prediction."""
    failures: tuple[str, ...]


def audit(
    topology: Topology, catalog: Catalog, logs: Logs, *, malformed: int = 0, samples: int = 20, seed: int = 7
) -> Audit:
    """Audit one run of `topology` by its `logs` (see `flow.ROLES`); `malformed` records were sent on purpose."""
    flow = follow(topology, catalog, logs)
    decode = catalog.codec("predictions").decode
    predictions = [decode(record.value or b"") for record in logs["predictions"]]
    served = _served(catalog, logs["examples"])
    metrics = [catalog.codec("metrics").decode(record.value or b"") for record in logs["metrics"]]
    rebuilt = rebuild(topology, catalog, predictions, first_by_key(logs["features"]), logs["examples"], samples, seed)
    alerts = [catalog.codec("alerts").decode(record.value or b"") for record in logs["alerts"]]
    sent_at = {record.key or b"": record.timestamp for record in logs["events"]}
    waits, rate = _times(sent_at, predictions)
    return Audit(
        metric=metric_of(topology.target),
        flow=flow,
        rebuilt=rebuilt,
        served=score(topology.target, served),
        models=_models(topology, metrics),
        positions=max((p["position"] for p in predictions), default=0),
        alerts_opened=sum(alert["status"] == "opened" for alert in alerts),
        alerts_open=len({a["alert"] for a in alerts} - {a["alert"] for a in alerts if a["status"] == "closed"}),
        alerts=tuple(f"{a['detector']} ({a['kind']}): {a['message']}" for a in alerts if a["status"] == "opened"),
        latency=quantiles(waits),
        sent_at=sent_at,
        events_per_second=rate,
        failures=(*_flow_failures(flow, malformed), *_other_failures(topology, rebuilt, served, metrics)),
    )


def quantiles(values: Sequence[float]) -> Quantiles:
    """p50 and p99 of `values`, each one of them (the nearest rank)."""
    if not values:
        return {}
    ordered = sorted(values)
    last = len(ordered) - 1
    return {f"p{p}": float(ordered[min(last, len(ordered) * p // 100)]) for p in (50, 99)}


def _served(catalog: Catalog, examples: Sequence[Record]) -> list[Served]:
    read = catalog.examples.served
    return [
        Served(label, prediction["output"], prediction["position"])
        for label, prediction in (read(record.value or b"") for record in examples)
    ]


def _models(topology: Topology, metrics: Sequence[Mapping[str, Any]]) -> dict[str, ModelResult]:
    metric = metric_of(topology.target)
    newest: dict[str, Mapping[str, Any]] = {}
    for record in metrics:
        if record["window"] >= newest.get(record["model"], record)["window"]:
            newest[record["model"]] = record
    return {
        name: ModelResult(
            record["first_position"] + record["count"],
            record["cumulative"].get(metric),
            record["baselines_cumulative"]["no_change"].get(metric),
            record["baselines_cumulative"]["prior"].get(metric),
        )
        for name, record in ((m.name, newest[m.name]) for m in topology.models if m.name in newest)
    }


def _times(sent_at: Mapping[bytes, int], predictions: Sequence[Mapping[str, Any]]) -> tuple[list[float], float | None]:
    """How long each event waited for its prediction (ms), and predictions per second over the whole run."""
    served = [(p["served_at"], sent_at[key]) for p in predictions if (key := p["id"].encode()) in sent_at]
    if not served:
        return [], None
    span = max(at for at, _ in served) - min(since for _, since in served)
    return [at - since for at, since in served], len(served) * 1000 / span if span > 0 else None


def _flow_failures(flow: Flow, malformed: int) -> list[str]:
    broken = [
        ("{n} events have neither a prediction nor a place in the quarantine", flow.lost_events),
        ("{n} valid labels were not taken up", flow.lost_labels),
        ("{n} events were predicted and labelled in time but are no examples", flow.lost_examples),
        ("{n} predictions are more than their events", flow.doubled_predictions),
        ("{n} labels were taken up more often than they were sent", flow.doubled_labels),
        ("{n} examples are doubles", flow.doubled_examples),
        ("{n} records were quarantined twice", flow.quarantined_twice),
        ("{n} quarantined records are not what was sent", flow.changed_in_quarantine),
        ("{n} examples are not the label, prediction and features of their id", flow.altered),
        ("{n} predictions came from a model that had learned their label", flow.foreseen),
    ]
    lines = [f"{text.format(n=len(ids))}, such as {ids[0]}" for text, ids in broken if ids]
    if flow.disordered:
        lines.append(f"{flow.disordered} predictions are out of the order of their events")
    if flow.quarantined != malformed:
        rules = ", ".join(f"{rule} {count}" for rule, count in flow.rules.most_common()) or "none"
        lines.append(f"{flow.quarantined} records are in the quarantine, {malformed} were malformed (by rule: {rules})")
    return lines


def _other_failures(
    topology: Topology, rebuilt: Rebuilt, served: Sequence[Served], metrics: Sequence[Mapping[str, Any]]
) -> list[str]:
    lines = list(rebuilt.different)
    if not rebuilt.checked:
        lines.append("there is no prediction to make again")
    if (window := _unequal_losses(topology.target, served, metrics)) is not None:
        lines.append(f"the losses of window {window} in `metrics` are not those of the predictions as served")
    return lines


def _unequal_losses(target: Target, served: Sequence[Served], metrics: Sequence[Mapping[str, Any]]) -> int | None:
    """The first window of the served predictions whose losses in `metrics` are not those counted here."""
    losses = losses_of(target, served)
    for record in metrics:
        first = record["first_position"]
        if record["model"] == SERVED and record["losses"] != losses[first : first + record["count"]]:
            return int(record["window"])
    return None
