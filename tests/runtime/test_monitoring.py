"""What Prometheus gets to see."""

from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.tiny import tiny
from support.toy_planes import ToyPlane, alert, metric, sources_of

from streamml.agents.agent import Reading
from streamml.runtime.monitoring import SERIES, Collector, Sources

QUARANTINED = Reading("quarantined_total", (("rule", "range"),), 4)


def scrape(sources: Sources, now: float = 100.0) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels; a sample that comes twice fails."""
    registry = CollectorRegistry()
    registry.register(Collector(sources, lambda: now))
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    ]
    doubled = [key for key, count in Counter((name, labels) for name, labels, _ in samples).items() if count > 1]
    assert not doubled
    return {(name, labels): value for name, labels, value in samples}


def test_a_plane_shows_its_counters_lag_and_times() -> None:
    plane = ToyPlane("score", units=2)
    plane.settle()
    plane.counters.records_in, plane.counters.writes_out = 10, 30
    plane.counters.transactions, plane.counters.transaction_seconds = 4, 0.5
    sources = sources_of(tiny("shop"), plane)
    sources.timings["score"].step.observe(0.02)
    sources.timings["score"].waited["producer"].observe(0.04)
    found = scrape(sources)
    task = ("task", "score")
    assert found["streamml_records_total", (task,)] == 10
    assert found["streamml_writes_total", (task,)] == 30
    assert found["streamml_transaction_seconds_count", (task,)] == 4
    assert found["streamml_transaction_seconds_sum", (task,)] == 0.5
    assert found["streamml_step_seconds_bucket", (("le", "0.025"), task)] == 1
    assert found["streamml_event_to_commit_seconds_count", (("clock", "producer"), task)] == 1
    assert found["streamml_lag_records", (("partition", "1"), task, ("topic", "shop.score"))] == 4
    assert found["streamml_sessions", (("state", "running"), task)] == 2


def test_the_figures_of_agents_come_out_under_their_own_names() -> None:
    watermark = Reading("watermark_ms", (("stream", "labels"),), 97_000)
    plane = ToyPlane("match", readings=(QUARANTINED, Reading("pending", (), 12), watermark))
    plane.settle()
    sources = sources_of(tiny("shop"), plane)
    found = scrape(sources, now=100.0)
    place = (("task", "match"), ("unit", "0"))
    assert found["streamml_pending", place] == 12
    assert found["streamml_quarantined_total", (("rule", "range"), *place)] == 4
    assert found["streamml_watermark_age_seconds", (("stream", "labels"), *place)] == 3
    assert sources.quarantined() == {"range": 4}


def test_models_alerts_and_results() -> None:
    sources = sources_of(tiny("shop"))
    sources.board.metric(metric("lr", 3, 0.75))
    sources.board.alert(alert("a", "opened"))
    sources.board.alert(alert("b", "opened"))
    sources.board.alert(alert("b", "closed"))
    found = scrape(sources)
    assert found["streamml_live_position", (("model", "nb"),)] == 101
    assert found["streamml_live_staleness", (("model", "lr"),)] == 7
    assert found["streamml_champion", (("model", "lr"),)] == 1
    assert found["streamml_champion", (("model", "nb"),)] == 0
    window = (("metric", "accuracy"), ("model", "lr"), ("scope", "window"))
    assert found["streamml_metric", window] == 0.75
    assert found["streamml_baseline", (("baseline", "no_change"), *window)] == 0.5
    which = (("detector", "error"), ("kind", "drift"))
    assert found["streamml_alerts_open", which] == 1
    assert found["streamml_alerts_opened_total", which] == 2


def test_labels_are_bounded() -> None:
    many = [Reading("odd", (("id", str(number)),), 1) for number in range(SERIES + 50)]
    plane = ToyPlane("score", readings=many)
    plane.settle()
    found = scrape(sources_of(tiny("shop"), plane))
    assert len([name for name, _ in found if name == "streamml_odd"]) == SERIES


def test_a_rate_is_over_what_was_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = ToyPlane("score")
    sources = sources_of(tiny("shop"), plane)
    for second in range(3):
        monkeypatch.setattr("streamml.runtime.monitoring.monotonic", lambda at=second: float(at))
        plane.counters.records_in = second * 50
        sources.sample()
    assert sources.rate("score") == 50
    assert sources.rate("match") == 0


def test_what_is_missing_is_named() -> None:
    score, match = ToyPlane("score", units=2), ToyPlane("match")
    sources = sources_of(tiny("shop"), score, match)
    score.settle()
    score.ready = False
    score.sessions[1].state = "restoring"
    assert sources.missing() == ["score: unit 1 is restoring", "match: has not joined its group"]
    score.ready = True
    match.settle()
    assert sources.missing() == []
