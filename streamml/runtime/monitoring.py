"""What a worker shows to Prometheus. Law: all is read at the scrape, from figures kept anyway; every label is bounded.

Names: `streamml_*`, seconds and records. The figures of agents (`Reading`) come out under their own names with their
task and unit (the partition, or 0). `streamml_event_to_commit_seconds`, with the mean of `streamml_transaction_seconds`
on top, is the time from an event's Kafka timestamp until its prediction can be read; see `Timing` for what is sampled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector as PrometheusCollector

from streamml.agents.agent import Reading
from streamml.agents.live import LiveModels
from streamml.engine.task import Task
from streamml.records import TopicPartition
from streamml.runtime.board import Board
from streamml.runtime.context import Counters
from streamml.runtime.figures import Histogram, Rate, Timing
from streamml.runtime.follower import Follower
from streamml.topology import Topology

SERIES = 1_000
"""Series of one family at most: what is beyond is left out rather than let a scrape grow without bound."""

HELP = {
    "streamml_pending": "Events whose example is not complete yet.",
    "streamml_settled": "Ids remembered so that a doubled label is known as one.",
    "streamml_watermark_ms": "Event time up to which a stream is complete, in ms since the epoch.",
    "streamml_match": "Labels and events by what became of them.",
    "streamml_quarantined": "Records refused, by the rule that refused them.",
    "streamml_scored": "Events that got a prediction.",
    "streamml_unanswered": "Predictions without an answer because the model raised.",
    "streamml_model_position": "Examples that the learner's model has learned.",
    "streamml_snapshot_position": "Position of the newest snapshot written.",
    "streamml_snapshots_refused": "Snapshots that the learner did not use.",
}


COUNTERS: dict[str, tuple[str, Callable[[Counters], float]]] = {
    "records": ("Records processed.", lambda c: c.records_in),
    "writes": ("Records written and committed.", lambda c: c.writes_out),
    "sessions_opened": ("Units opened, the first time or again.", lambda c: c.sessions_opened),
    "sessions_lost": ("Units thrown away because a commit was not sure, and opened again.", lambda c: c.sessions_lost),
    "rebalances": ("Rebalances of the consumer group.", lambda c: c.rebalances),
    "restored": ("Changelog records restored from.", lambda c: c.restored),
    "replayed": ("Input records stepped again without output.", lambda c: c.replayed),
}


class Session(Protocol):
    """One unit of a plane: where it stands, and the figures of the agent that works there."""

    @property
    def unit(self) -> int: ...
    @property
    def state(self) -> str: ...
    def observe(self) -> Iterable[Reading]: ...


class Plane(Protocol):
    """What the host asks of the data plane of one task; `streamml.runtime.plane.Plane` is one."""

    @property
    def task(self) -> Task: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def sessions(self) -> Mapping[int, Session]: ...
    @property
    def ready(self) -> bool: ...
    def lag(self) -> Mapping[TopicPartition, int]: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def check(self) -> None: ...


@dataclass
class Sources:
    """Everything that a worker can tell about itself."""

    topology: Topology
    planes: Sequence[Plane]
    live: LiveModels
    board: Board
    follower: Follower | None = None
    started: float = field(default_factory=time)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)

    def sample(self) -> None:
        """To be called once a second: what the rates are made of."""
        now = monotonic()
        for plane in self.planes:
            self.rates.setdefault(plane.task.name, Rate()).sample(plane.counters.records_in, now)

    def rate(self, task: str) -> float:
        """Records a second that a task read, over the last ten seconds."""
        rate = self.rates.get(task)
        return rate.per_second if rate is not None else 0.0

    def missing(self) -> list[str]:
        """What is not ready yet, one line each."""
        lines = []
        for plane in self.planes:
            if not plane.ready:
                name, sessions = plane.task.name, plane.sessions.values()
                waiting = [f"{name}: unit {s.unit} is {s.state}" for s in sessions if s.state != "running"]
                lines += waiting or [f"{name}: has not joined its group"]
        if self.follower is not None and not self.follower.caught_up.is_set():
            lines.append("follower: snapshots are being read")
        return lines

    def readings(self) -> Iterator[tuple[str, int, Reading]]:
        """(task, unit, reading) of each agent."""
        for plane in self.planes:
            for session in plane.sessions.values():
                for reading in session.observe():
                    yield plane.task.name, session.unit, reading

    def quarantined(self) -> Counter[str]:
        """Records quarantined since the sessions opened, by rule."""
        rules: Counter[str] = Counter()
        for _, _, reading in self.readings():
            if reading.name == "quarantined_total":
                rules[dict(reading.labels)["rule"]] += int(reading.value)
        return rules


class Collector(PrometheusCollector):
    """Reads `sources` whenever the registry is scraped."""

    def __init__(self, sources: Sources, clock: Callable[[], float] = time) -> None:
        self._sources = sources
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        yield from self._planes()
        yield from self._agents()
        yield from self._models()
        yield from self._board()

    def describe(self) -> list[Metric]:
        # Without this the registry would scrape once at registration, to learn the names.
        return []

    def _planes(self) -> Iterator[Metric]:
        sources = self._sources
        counts = {name: _counter(f"streamml_{name}", text, ("task",)) for name, (text, _) in COUNTERS.items()}
        transaction = SummaryMetricFamily("streamml_transaction_seconds", "From begin to commit.", labels=("task",))
        rate = _gauge("streamml_records_per_second", "Records read a second, over ten seconds.", ("task",))
        sessions = _gauge("streamml_sessions", "Units of this process by state.", ("task", "state"))
        lag = _gauge("streamml_lag_records", "Offsets not processed yet.", ("task", "topic", "partition"))
        step = _histogram("streamml_step_seconds", "One batch through the agent.", ("task",))
        waited = _histogram(
            "streamml_event_to_commit_seconds",
            "From a commit's first event's Kafka timestamp, set by its producer or the broker, to the commit's begin.",
            ("task", "clock"),
        )
        for plane in sources.planes:
            name, counters = plane.task.name, plane.counters
            for key, (_, read) in COUNTERS.items():
                counts[key].add_metric((name,), read(counters))
            transaction.add_metric((name,), counters.transactions, counters.transaction_seconds)
            rate.add_metric((name,), sources.rate(name))
            for state, count in Counter(str(s.state) for s in plane.sessions.values()).items():
                sessions.add_metric((name, state), count)
            for tp, behind in plane.lag().items():
                lag.add_metric((name, tp.topic, str(tp.partition)), behind)
            if (timing := sources.timings.get(name)) is not None:
                _observe(step, (name,), timing.step)
                for clock, histogram in timing.waited.items():
                    if histogram.count:
                        _observe(waited, (name, clock), histogram)
        yield from (*counts.values(), transaction, rate, sessions, lag, step, waited)

    def _agents(self) -> Iterator[Metric]:
        families: dict[tuple[str, tuple[str, ...]], Metric] = {}
        age = _gauge("streamml_watermark_age_seconds", "How far a watermark is behind now.", ("task", "unit", "stream"))
        now = self._clock() * 1000
        for task, unit, reading in self._sources.readings():
            names = ("task", "unit", *(name for name, _ in reading.labels))
            values = (task, str(unit), *(value for _, value in reading.labels))
            family = families.get((reading.name, names))
            if family is None:
                base = f"streamml_{reading.name}"
                make = _counter if base.endswith("_total") else _gauge
                base = base.removesuffix("_total")
                family = families[reading.name, names] = make(base, HELP.get(base, "A figure of an agent."), names)
            if len(family.samples) < SERIES:
                family.add_metric(values, reading.value)  # type: ignore[attr-defined]  # both makes of family have it
            if reading.name == "watermark_ms":
                age.add_metric((*values,), (now - reading.value) / 1000)
        yield from families.values()
        yield age

    def _models(self) -> Iterator[Metric]:
        sources = self._sources
        position = _gauge("streamml_live_position", "Examples learned by the model as it serves here.", ("model",))
        behind = _gauge("streamml_live_staleness", "Examples committed that it has not learned.", ("model",))
        champion = _gauge("streamml_champion", "1 for the model that serves.", ("model",))
        for fold in sources.live:
            position.add_metric((fold.name,), fold.position)
            behind.add_metric((fold.name,), sources.live.behind(fold.name))
            champion.add_metric((fold.name,), float(fold.name == sources.live.champion))
        yield from (position, behind, champion)
        if sources.follower is not None:
            loaded = _counter("streamml_follower_loaded", "Snapshots opened to serve.", ("model",))
            refused = _counter("streamml_follower_refused", "Snapshots refused.", ("model",))
            for model, count in sources.follower.loaded.items():
                loaded.add_metric((model,), count)
            for model, count in sources.follower.refused.items():
                refused.add_metric((model,), count)
            yield from (loaded, refused)

    def _board(self) -> Iterator[Metric]:
        board = self._sources.board
        labels = ("model", "metric", "scope")
        results = _gauge("streamml_metric", "Prequential result, of the newest window or of all so far.", labels)
        baselines = _gauge("streamml_baseline", "The same of a baseline.", ("baseline", *labels))
        window = _gauge("streamml_metric_window", "Number of the newest window of positions.", ("model",))
        for model, record in board.windows.items():
            window.add_metric((model,), record["window"])
            for scope, of, beside in (
                ("window", "metrics", "baselines"),
                ("cumulative", "cumulative", "baselines_cumulative"),
            ):
                for metric, value in record[of].items():
                    results.add_metric((model, metric, scope), value)
                for baseline, values in record[beside].items():
                    for metric, value in values.items():
                        baselines.add_metric((baseline, model, metric, scope), value)
        opened = _counter("streamml_alerts_opened", "Alerts opened.", ("detector", "kind"))
        open_now = _gauge("streamml_alerts_open", "Alerts open now.", ("detector", "kind"))
        standing = Counter((a["detector"], a["kind"]) for a in board.open.values())
        for key, count in list(board.opened.items())[:SERIES]:
            opened.add_metric(key, count)
            open_now.add_metric(key, standing[key])
        yield from (results, baselines, window, opened, open_now)


def _counter(name: str, text: str, labels: Sequence[str]) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=labels)


def _gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _histogram(name: str, text: str, labels: Sequence[str]) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, labels=labels)


def _observe(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    family.add_metric(labels, histogram.buckets(), histogram.sum)
