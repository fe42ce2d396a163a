"""Figures that the data plane does not keep itself. Law: plain numbers, touched once a batch, never once a record."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter

from streamml.agents.agent import Agent, Local, Offsets, Reading
from streamml.records import BareRecord, Batch, Record, Role, Writes

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LOG_APPEND_TIME = 1
"""`timestamp_type` of a record whose timestamp the broker set when it appended it (KIP-32); 0 is the producer's own."""


class Histogram:
    """Cumulative counts by upper bound, as Prometheus has them; an observation costs under a microsecond."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, observations up to it), the last bound being `+Inf`."""
        total, found = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found

    def quantile(self, q: float) -> float | None:
        """The upper bound of the bucket that holds quantile `q`; None before the first observation."""
        total = self.count
        if not total:
            return None
        seen = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += count
            if seen >= q * total:
                return bound
        return None


class Timing:
    """How long the steps of one task take, and how long events waited before the commit of their results begins.

    `waited` is by the clock that set an event's Kafka timestamp: `broker` where the topic has LogAppendTime, else
    `producer`, whose clock (or whatever it chose to write there) it is. One sample a commit, of the first event that it
    covers, which waited the longest. The commit itself is the plane's `transaction_seconds`.
    """

    def __init__(self) -> None:
        self.step = Histogram()
        self.waited = {"broker": Histogram(), "producer": Histogram()}


class Timed:
    """An agent with a watch beside it: an `Agent` itself, of the same behaviour. `clock` gives ms since the epoch."""

    def __init__(self, agent: Agent, timing: Timing, clock: Callable[[], int], watched: Role | None = None) -> None:
        self.agent = agent
        self.local: Local | None = getattr(agent, "local", None)
        self._timing = timing
        self._clock = clock
        self._watched = watched
        self._oldest: BareRecord | None = None

    def restore(self, records: Sequence[Record]) -> None:
        self.agent.restore(records)

    def resume(self, committed: Offsets) -> Offsets:
        return self.agent.resume(committed)

    def step(self, batch: Batch, now: int) -> Writes:
        if self._oldest is None and self._watched is not None and (records := batch.get(self._watched)):
            self._oldest = records[0]
        started = perf_counter()
        writes = self.agent.step(batch, now)
        if batch:
            self._timing.step.observe(perf_counter() - started)
        return writes

    def checkpoint(self, now: int) -> Writes:
        oldest, self._oldest = self._oldest, None
        if oldest is not None:
            by = "broker" if getattr(oldest, "timestamp_type", 0) == LOG_APPEND_TIME else "producer"
            # The clock itself and not `now`, which is the time at which the step began.
            self._timing.waited[by].observe(max(0, self._clock() - oldest.timestamp) / 1000)
        return self.agent.checkpoint(now)

    def observe(self) -> Iterable[Reading]:
        return self.agent.observe()


class Rate:
    """How fast a total grows, over the last `span` samples."""

    def __init__(self, span: int = 10) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=span + 1)

    def sample(self, total: float, at: float) -> None:
        """`total` as it stands at `at` (seconds on a monotonic clock)."""
        self._samples.append((total, at))

    @property
    def per_second(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (first, start), (last, end) = self._samples[0], self._samples[-1]
        return max(0.0, last - first) / (end - start) if end > start else 0.0
