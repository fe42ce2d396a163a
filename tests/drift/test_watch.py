"""A detector at work: one alert per episode, the same alerts whatever the batches and restarts."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from river import drift

from streamml import ErrorDrift, FeatureDrift
from streamml.drift import Watch
from streamml.errors import SnapshotError


def errors(*spans: tuple[int, float]) -> list[float]:
    """0 and 1, with the share of 1 of each span."""
    rng = random.Random(7)
    return [float(rng.random() < share) for length, share in spans for _ in range(length)]


SHIFTED = errors((2_000, 0.2), (2_000, 0.6))


def always() -> Any:
    return drift.DummyDriftDetector(trigger_method="fixed", t_0=1, seed=1)


def test_a_shift_of_the_error_is_opened_once_and_closed() -> None:
    watch = Watch(ErrorDrift("error", drift.ADWIN, quiet=1_000))
    alerts = watch.feed(SHIFTED, now=5)
    assert [alert["status"] for alert in alerts] == ["opened", "closed"]
    opened, closed = alerts
    assert opened["kind"] == "drift"
    assert 2_000 < opened["position"] < 2_200
    assert opened["alert"] == closed["alert"] == f"error/{opened['position']}"
    assert closed["position"] == opened["position"] + 1_000
    assert opened["value"] == pytest.approx(0.6, abs=0.15)
    assert "the served error rose from 0.2" in opened["message"]
    assert "\n" not in opened["message"]
    assert "steady again" in closed["message"]
    assert not watch.open


def test_a_feature_is_named_in_its_alert() -> None:
    watch = Watch(FeatureDrift("price", "nswprice", drift.ADWIN))
    opened = watch.feed(SHIFTED, now=5)[0]
    assert opened["detector"] == "price"
    assert "feature nswprice rose" in opened["message"]


def test_further_detections_are_told_when_their_number_doubles() -> None:
    watch = Watch(ErrorDrift("error", always, quiet=50))
    alerts = watch.feed([1.0] * 1_000, now=1)
    assert alerts[0]["status"] == "opened"
    assert all(alert["status"] == "updated" for alert in alerts[1:])
    assert len(alerts) <= 1 + 10
    assert "; 2 detections so far" in alerts[1]["message"]


def test_an_episode_after_a_closed_one_is_a_new_alert() -> None:
    watch = Watch(ErrorDrift("error", drift.ADWIN, quiet=300))
    alerts = watch.feed(errors((1_000, 0.2), (1_500, 0.6), (1_500, 0.2)), now=1)
    statuses = [alert["status"] for alert in alerts if alert["status"] != "updated"]
    assert statuses[:4] == ["opened", "closed", "opened", "closed"]
    assert len({alert["alert"] for alert in alerts}) == statuses.count("opened")
    assert any("fell" in alert["message"] for alert in alerts)


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), float("-inf")])
def test_records_without_a_value_are_passed_over_but_counted(nothing: float | None) -> None:
    watch, gaps = Watch(ErrorDrift("error", drift.ADWIN)), Watch(ErrorDrift("error", drift.ADWIN))
    whole = watch.feed(SHIFTED, 1)
    holed = gaps.feed([value for pair in zip(SHIFTED, [nothing] * len(SHIFTED), strict=True) for value in pair], 1)
    assert holed[0]["position"] == 2 * whole[0]["position"] - 1
    assert holed[0]["value"] == whole[0]["value"]
    assert gaps.position == 2 * watch.position


def test_records_without_a_value_bring_an_episode_to_its_end() -> None:
    watch = Watch(ErrorDrift("error", drift.ADWIN, quiet=500))
    watch.feed(SHIFTED[:2_200], 1)
    assert watch.open
    closed = watch.feed([None] * 500, 2)
    assert [alert["status"] for alert in closed] == ["closed"]


@pytest.mark.parametrize("build", [drift.ADWIN, drift.PageHinkley, drift.binary.DDM, drift.binary.HDDMW, drift.KSWIN])
def test_batches_and_restarts_do_not_show(build: Any) -> None:
    values = errors((400, 0.1), (600, 0.8), (300, 0.2))
    declared = ErrorDrift("error", build, quiet=150)
    whole = Watch(declared).feed(values, 1)
    watch, parts = Watch(declared), []
    for first in range(0, len(values), 170):
        parts += watch.feed(values[first : first + 170], 1)
        restarted = Watch(declared)
        restarted.loads(watch.dumps())
        watch = restarted
    assert parts == whole
    assert whole


def test_an_unseeded_detector_is_seeded_by_its_declaration() -> None:
    rng = random.Random(3)
    values = [rng.random() for _ in range(600)]

    def alerts(seed: int) -> list[dict[str, Any]]:
        return Watch(ErrorDrift("error", lambda: drift.KSWIN(alpha=0.05), seed=seed, quiet=20)).feed(values, 1)

    assert alerts(1) == alerts(1)
    assert alerts(1) != alerts(2)


def test_the_state_of_another_declaration_is_refused() -> None:
    watch = Watch(ErrorDrift("error", drift.ADWIN))
    watch.feed(SHIFTED[:100], 1)
    other = Watch(ErrorDrift("error", partial(drift.ADWIN, delta=0.5)))
    with pytest.raises(
        SnapshotError, match="the state of detector error is not that of the ADWIN that is declared now"
    ):
        other.loads(watch.dumps())
    assert other.position == 0


def test_what_is_no_state_is_refused() -> None:
    watch = Watch(ErrorDrift("error", drift.ADWIN))
    for data in (b"", b"\x80\x05K\x01.", b"cos\nsystem\n(S'true'\ntR."):
        with pytest.raises(SnapshotError):
            watch.loads(data)
