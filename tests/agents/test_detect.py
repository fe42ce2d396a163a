"""Alerts: one for each episode, whatever the number of partitions, and none that is forgotten open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.tiny import event, label, tiny

from streamml import Alerts, Serving, Topology
from streamml.testing import Driver


def report(driver: Driver, partition: int, **figures: float) -> None:
    """What a scoring partition says of itself."""
    name = f"serving/{partition}"
    value = {
        "model": name,
        "digest": "",
        "window": 0,
        "first_position": 0,
        "count": 0,
        "scored": 0,
        "metrics": {"events": 500, "quarantined": 0, "staleness": 0, **figures},
        "cumulative": {},
        "baselines": {},
        "baselines_cumulative": {},
        "losses": [],
        "at": driver.clock(),
    }
    driver.produce("metrics", value, key=name.encode())


def statuses(driver: Driver, detector: str) -> list[str]:
    return [alert["status"] for alert in driver.read("alerts") if alert["detector"] == detector]


def topology(**changes: Any) -> Topology:
    return tiny("alerts", detectors=(), alerts=Alerts(quarantine_rate=0.1), partitions=2, **changes)


def test_the_worst_partition_speaks_for_all() -> None:
    driver = Driver(topology())
    for _ in range(20):
        report(driver, 0, quarantined=250)
        report(driver, 1, quarantined=0)
        driver.run()
        driver.clock.advance(1_000)
    assert statuses(driver, "quarantine_rate") == ["opened"]
    for _ in range(20):
        report(driver, 0, quarantined=0)
        report(driver, 1, quarantined=0)
        driver.run()
        driver.clock.advance(1_000)
    assert statuses(driver, "quarantine_rate") == ["opened", "closed"]


def test_a_partition_that_fell_silent_says_no_more() -> None:
    driver = Driver(topology(serving=Serving(max_staleness=100)))
    report(driver, 0, staleness=1_000)
    driver.run()
    assert statuses(driver, "staleness") == ["opened"]
    driver.clock.advance(11_000)
    report(driver, 1, staleness=0)
    driver.run()
    assert statuses(driver, "staleness") == ["opened", "closed"]


def test_scoring_partitions_report_what_they_refused() -> None:
    driver = Driver(topology())
    for number in range(200):
        driver.produce("events", event(number))
        driver.produce("events", b"junk", key=str(number).encode())
    driver.run()
    driver.clock.advance(1_000)
    driver.run()
    assert statuses(driver, "quarantine_rate") == ["opened"]


def test_what_was_declared_anew_closes_its_alert_and_takes_nothing_with_it() -> None:
    driver = Driver(topology(window=10))
    report(driver, 0, quarantined=250)
    driver.run()
    for number in range(10):
        driver.produce("events", event(number))
        driver.produce("feedback", label(number))
    driver.run()
    driver.topology = replace(driver.topology, window=20, alerts=Alerts(quarantine_rate=0.1))
    driver.crash()
    report(driver, 0, quarantined=0)
    driver.run()
    driver.clock.advance(1_000)
    report(driver, 0, quarantined=0)
    driver.run()
    assert statuses(driver, "quarantine_rate") == ["opened", "closed"]
    assert any("declared" in line or "window" in line for line in driver.reports)


def test_a_crash_repeats_no_alert() -> None:
    driver = Driver(topology())
    report(driver, 0, quarantined=250)
    driver.run()
    driver.crash()
    report(driver, 0, quarantined=250)
    driver.run()
    assert statuses(driver, "quarantine_rate") == ["opened"]


def examples(driver: Driver, *said: tuple[bool, dict[str, bool]]) -> None:
    """An example for each (what was served, what each shadow said); the label is True."""
    for number, (served, shadows) in enumerate(said):
        output = {name: {"label": label, "probabilities": {}} for name, label in {"": served, **shadows}.items()}
        prediction = {
            "output": output.pop(""),
            "shadows": [{"model": n, "digest": "d", "position": number, "output": o} for n, o in output.items()],
            **{"model": "lr", "digest": "d", "position": number, "staleness": 0, "served_at": 1, "event_time": 1},
            "id": str(number),
        }
        features = {"id": str(number), "event_time": 1, "transform": "t"}
        example = {
            "label": {"value": True, "time": 1, "id": str(number)},
            "prediction": prediction,
            "features": {**features, "values": {"pressure": 1000.0, "temperature": 1.0}},
        }
        driver.produce("examples", example, key=str(number).encode())
    driver.run()


def served(driver: Driver) -> dict[str, list[Any]]:
    """The accuracies of the windows of each series of served results, as (window, accuracy), with the right keys."""
    found: dict[str, list[Any]] = {}
    for record, metric in zip(driver.records("metrics"), driver.read("metrics"), strict=True):
        if metric["model"].startswith("served"):
            assert record.key == f"{metric['model']}/{metric['window']}".encode()
            found.setdefault(metric["model"], []).append((metric["window"], metric["metrics"].get("accuracy")))
    return found


def test_shadows_have_their_own_results_as_served() -> None:
    driver = Driver(topology(window=4))
    examples(driver, *[(True, {"nb": number % 2 == 0, "hat": False}) for number in range(8)])
    assert served(driver) == {
        "served": [(0, 1.0), (1, 1.0)],
        "served:hat": [(0, 0.0), (1, 0.0)],
        "served:nb": [(0, 0.5), (1, 0.5)],
    }


def test_a_crash_forgets_no_answer_of_a_shadow() -> None:
    driver = Driver(topology(window=4))
    examples(driver, *[(True, {"nb": True})] * 3)
    driver.crash()
    examples(driver, (True, {"nb": False}))
    assert served(driver) == {"served": [(0, 1.0)], "served:nb": [(0, 0.75)]}


def test_a_shadow_that_is_declared_no_more_has_no_more_results() -> None:
    driver = Driver(topology(window=2))
    examples(driver, *[(True, {"nb": True})] * 2, *[(True, {})] * 4)
    assert served(driver) == {"served": [(0, 1.0), (1, 1.0), (2, 1.0)], "served:nb": [(0, 1.0)]}


def test_a_shadow_that_is_bad_wakes_nobody() -> None:
    bad_shadow, bad_champion = Driver(topology(window=10)), Driver(topology(window=10))
    examples(bad_shadow, *[(True, {"nb": False})] * 60)
    examples(bad_champion, *[(False, {"nb": True})] * 60)
    assert bad_shadow.read("alerts") == []
    assert statuses(bad_champion, "degradation") == ["opened"]
