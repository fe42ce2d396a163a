"""Plain numbers, touched once a batch."""

from __future__ import annotations

from typing import Any

import pytest

from streamml.agents.agent import Offsets, Reading
from streamml.records import Batch, LogRecord, Record, Writes
from streamml.runtime.figures import Histogram, Rate, Timed, Timing


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        histogram.observe(value)
    assert histogram.buckets() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert histogram.count == 4
    assert histogram.sum == pytest.approx(3.65)
    assert histogram.quantile(0.5) == 0.1
    assert histogram.quantile(0.99) == float("inf")
    assert Histogram().quantile(0.5) is None


def test_a_rate_is_over_its_last_samples() -> None:
    rate = Rate(span=2)
    assert rate.per_second == 0
    for total, at in ((0, 0.0), (100, 1.0), (400, 2.0), (1_000, 3.0)):
        rate.sample(total, at)
    assert rate.per_second == pytest.approx(450)


class Echo:
    """An agent that writes what it reads."""

    def restore(self, records: Any) -> None: ...
    def resume(self, committed: Offsets) -> Offsets:
        return {**committed}

    def step(self, batch: Batch, now: int) -> Writes:
        return {"out": [(r.key, r.value, r.timestamp, ()) for r in batch.get("events", ())]}

    def checkpoint(self, now: int) -> Writes:
        return {}

    def observe(self) -> list[Reading]:
        return [Reading("seen", (), 1)]


def test_a_watch_changes_nothing_and_samples_the_first_event_of_a_commit() -> None:
    timing, now = Timing(), 5_000
    agent = Timed(Echo(), timing, lambda: now, "events")
    first, second = (LogRecord("e", 0, i, 4_000 + i * 500, b"k", b"v") for i in range(2))
    assert agent.step({"events": [first]}, 0) == Echo().step({"events": [first]}, 0)
    agent.step({"events": [second]}, 0)
    agent.step({}, 0)
    agent.checkpoint(0)
    agent.checkpoint(0)
    assert (timing.step.count, timing.waited["producer"].count) == (2, 1)
    assert timing.waited["producer"].sum == pytest.approx(1.0)
    assert [*agent.observe()] == [Reading("seen", (), 1)]
    assert agent.resume({}) == {}


def test_a_timestamp_of_the_broker_s_clock_is_kept_apart_and_one_of_the_future_counts_as_now() -> None:
    class Appended(LogRecord):
        timestamp_type = 1

    timing = Timing()
    agent = Timed(Echo(), timing, lambda: 5_000, "events")
    record: Record = Appended("e", 0, 0, 6_000, None, None)
    agent.step({"events": [record]}, 0)
    agent.checkpoint(0)
    assert timing.waited["broker"].count == 1
    assert timing.waited["broker"].sum == 0
