"""A value against a bound: hysteresis, calm, and updates that do not pile up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamml.drift import Threshold


def lives(threshold: Threshold, values: list[float | None], bound: float) -> list[tuple[str, float]]:
    alerts: list[dict[str, Any]] = []
    for position, value in enumerate(values):
        alerts += threshold.feed(value, bound, position, now=1_000 + position)
    return [(alert["status"], alert["value"]) for alert in alerts]


def test_a_value_that_trembles_at_the_bound_gives_one_alert() -> None:
    values: list[float | None] = [90.0, 101.0, 99.0, 101.0, 95.0, 101.0, 89.0, 99.0]
    assert lives(Threshold.staleness(), values, 100.0) == [("opened", 101.0), ("closed", 89.0)]


def test_a_growing_excess_is_told_when_it_has_doubled() -> None:
    values: list[float | None] = [float(value) for value in range(101, 1_101)]
    told = lives(Threshold.staleness(), values, 100.0)
    assert [value - 100 for _, value in told] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_degradation_is_closed_by_two_good_windows_in_a_row() -> None:
    threshold = Threshold.degradation("accuracy")
    values: list[float | None] = [0.80, 0.70, 0.80, 0.74, 0.76, 0.77, 0.78]
    assert lives(threshold, values, 0.75) == [("opened", 0.70), ("closed", 0.77)]


def test_an_error_degrades_upwards() -> None:
    assert lives(Threshold.degradation("mae"), [1.0, 3.0], 2.0) == [("opened", 3.0)]


def test_the_bound_may_move() -> None:
    threshold = Threshold.degradation("accuracy")
    assert threshold.feed(0.8, 0.7, 0, 1) == []
    assert threshold.feed(0.8, 0.9, 1, 2)[0]["status"] == "opened"


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
def test_what_is_not_there_is_passed_over(nothing: float | None) -> None:
    threshold = Threshold.quarantine_rate()
    assert threshold.feed(nothing, 0.05, 0, 1) == []
    assert threshold.feed(0.5, nothing, 0, 1) == []
    assert not threshold.open


def test_the_alert_says_what_where_and_what_next() -> None:
    alert = Threshold.quarantine_rate().feed(0.08, 0.05, 12_000, 77)[0]
    assert alert == {
        "alert": "quarantine_rate/12000",
        "detector": "quarantine_rate",
        "kind": "quarantine_rate",
        "status": "opened",
        "message": "the share of quarantined events is 0.08, above 0.05: "
        "the headers in the quarantine topic say why; check the producers",
        "value": 0.08,
        "threshold": 0.05,
        "position": 12_000,
        "opened_at": 77,
        "at": 77,
    }


def test_a_restart_does_not_show() -> None:
    values: list[float | None] = [0.8, 0.7, 0.6, 0.8, 0.74, 0.5, 0.8, 0.77, 0.2]
    whole, told = Threshold.degradation("accuracy"), []
    parts = Threshold.degradation("accuracy")
    expected = []
    for position, value in enumerate(values):
        expected += whole.feed(value, 0.75, position, position)
        told += parts.feed(value, 0.75, position, position)
        restarted = Threshold.degradation("accuracy")
        restarted.restore(json.loads(json.dumps(parts.state())))
        parts = restarted
    assert told == expected
    assert parts.open == whole.open
