"""The audit finds what is wrong, and nothing where all is well: on logs of the Driver, with one thing altered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.tiny import event, label, tiny

from streamml import Topology
from streamml.demo.audit import Audit, audit, quantiles
from streamml.demo.flow import ROLES
from streamml.records import LogRecord
from streamml.testing import Driver

EVENTS, DELAY = 60, 3
Change = Callable[[dict[str, list[LogRecord]], Driver], None]


def played(topology: Topology, events: int = EVENTS) -> Driver:
    """A whole run: each label comes `DELAY` events late, and three records are malformed."""
    driver = Driver(topology)
    for number in range(events + DELAY):
        if number < events:
            driver.produce("events", event(number))
        if number >= DELAY:
            driver.produce("feedback", label(number - DELAY, after=DELAY))
        driver.run()
        driver.clock.advance(timedelta(milliseconds=10))
    driver.produce("events", b"\xff nonsense")
    driver.produce("events", {**event(events), "temperature": float("nan")})
    driver.produce("feedback", b"")
    driver.run()
    return driver


@pytest.fixture(scope="module")
def driver() -> Driver:
    return played(tiny("audited"))


def logs_of(driver: Driver) -> dict[str, list[LogRecord]]:
    return {role: list(driver.records(role)) for role in ROLES}


def audited(driver: Driver, change: Change = lambda logs, driver: None) -> Audit:
    logs = logs_of(driver)
    change(logs, driver)
    return audit(driver.topology, driver.catalog, logs, malformed=3)


def test_a_good_run_has_no_failure(driver: Driver) -> None:
    found = audited(driver)
    flow = found.flow
    assert found.failures == ()
    assert (flow.events, flow.labels, flow.predictions, flow.examples) == (EVENTS + 2, EVENTS + 1, EVENTS, EVENTS)
    assert (flow.quarantined, flow.lost, flow.doubled, flow.unlabelled, flow.orphans) == (3, 0, 0, 0, 0)
    assert flow.rules.total() == 3
    assert (found.rebuilt.checked, found.rebuilt.identical) == (20, 20)
    assert found.latency == {"p50": 0.0, "p99": 0.0}
    assert found.models["lr"].positions == EVENTS
    assert found.positions == EVENTS - 1 - DELAY


def test_its_own_count_of_the_served_accuracy_is_that_of_metrics(driver: Driver) -> None:
    found = audited(driver)
    served = [m for m in driver.read("metrics") if m["model"] == "served"][-1]
    assert found.served.model == pytest.approx(served["cumulative"]["accuracy"])
    assert found.served.no_change == pytest.approx(served["baselines_cumulative"]["no_change"]["accuracy"])
    assert found.served.prior == pytest.approx(served["baselines_cumulative"]["prior"]["accuracy"])


def test_several_partitions_have_an_order_each(driver: Driver) -> None:
    found = audit(*_run(played(tiny("parted", partitions=3))), malformed=3)
    assert found.failures == ()
    assert found.flow.disordered == 0


def _run(driver: Driver) -> tuple[Any, Any, dict[str, list[LogRecord]]]:
    return driver.topology, driver.catalog, logs_of(driver)


def lose(role: str, index: int = 5) -> Change:
    def change(logs: dict[str, list[LogRecord]], driver: Driver) -> None:
        del logs[role][index]

    return change


def double(role: str, index: int = 5) -> Change:
    def change(logs: dict[str, list[LogRecord]], driver: Driver) -> None:
        logs[role].append(logs[role][index]._replace(offset=len(logs[role])))

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lose("predictions"), "1 events have neither a prediction nor a place in the quarantine, such as 5"),
        (lose("examples"), "1 events were predicted and labelled in time but are no examples, such as 5"),
        (lose("labels"), "1 valid labels were not taken up, such as 5"),
        (double("predictions"), "1 predictions are more than their events, such as 5"),
        (double("examples"), "1 examples are doubles, such as 5"),
        (double("labels"), "1 labels were taken up more often than they were sent, such as 5"),
        (double("quarantine", 0), "1 records were quarantined twice, such as audited.events[0]@"),
        (
            lose("quarantine", 0),
            "1 events have neither a prediction nor a place in the quarantine, such as audited.events",
        ),
        (lose("quarantine", 2), "1 valid labels were not taken up, such as audited.feedback[0]@"),
    ],
)
def test_one_record_lost_or_doubled_is_found(driver: Driver, change: Change, line: str) -> None:
    failures = audited(driver, change).failures
    assert any(failure.startswith(line) for failure in failures), failures


def altered(role: str, change: Callable[[dict[str, Any]], None], index: int = -1) -> Change:
    """The record at `index` decoded, changed and encoded again."""

    def apply(logs: dict[str, list[LogRecord]], driver: Driver) -> None:
        codec = driver.catalog.codec(role)
        value = codec.decode(logs[role][index].value or b"")
        change(value)
        logs[role][index] = logs[role][index]._replace(value=codec.encode(value))

    return apply


def test_a_probability_that_is_off_by_one_bit_is_found() -> None:
    driver = played(tiny("bit"), events=20)

    def nudge(prediction: dict[str, Any]) -> None:
        chances = prediction["output"]["probabilities"]
        chances["True"] = chances["True"] * (1 + 2**-52)

    failures = audited(driver, altered("predictions", nudge)).failures
    assert any("the prediction of id 19 was {'label'" in line for line in failures), failures
    assert any(line.startswith("1 examples are not the label, prediction and features") for line in failures)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("model", "nobody", "names the model nobody, which the topology does not declare"),
        ("digest", "0" * 8, "names the digest 00000000 of lr, which is"),
        ("position", 10_000, "names position 10000, but the log holds 20 examples"),
        ("position", 3, "but lr at position 3 says"),
    ],
)
def test_a_prediction_that_names_another_model_is_found(field: str, value: Any, line: str) -> None:
    driver = played(tiny("named"), events=20)
    failures = audited(driver, altered("predictions", lambda p: p.update({field: value}))).failures
    assert any(line in failure for failure in failures), failures


def test_an_example_with_another_label_is_found(driver: Driver) -> None:
    def flip(example: dict[str, Any]) -> None:
        example["label"]["value"] = not example["label"]["value"]

    failures = audited(driver, altered("examples", flip)).failures
    assert any(f.startswith("1 examples are not the label") for f in failures), failures


def test_a_prediction_that_knew_its_label_is_found(driver: Driver) -> None:
    def foresee(example: dict[str, Any]) -> None:
        example["prediction"]["position"] = EVENTS

    failures = audited(driver, altered("examples", foresee)).failures
    assert any(f.startswith("1 predictions came from a model that had learned their label") for f in failures), failures


def test_bytes_changed_on_the_way_to_the_quarantine_are_found(driver: Driver) -> None:
    def change(logs: dict[str, list[LogRecord]], driver: Driver) -> None:
        logs["quarantine"][0] = logs["quarantine"][0]._replace(value=b"\xff nonsens")

    failures = audited(driver, change).failures
    assert any(f.startswith("1 quarantined records are not what was sent") for f in failures), failures


def test_an_unexpected_quarantine_names_the_rules(driver: Driver) -> None:
    found = audit(*_run(driver), malformed=2)
    [line] = found.failures
    assert line.startswith("3 records are in the quarantine, 2 were malformed (by rule: ")
    assert "finite 1" in line


def test_predictions_out_of_order_are_found(driver: Driver) -> None:
    def swap(logs: dict[str, list[LogRecord]], driver: Driver) -> None:
        first, second = logs["predictions"][7:9]
        logs["predictions"][7:9] = [second._replace(offset=first.offset), first._replace(offset=second.offset)]

    assert audited(driver, swap).failures == ("1 predictions are out of the order of their events",)


def test_losses_that_metrics_tells_differently_are_found(driver: Driver) -> None:
    def improve(metric: dict[str, Any]) -> None:
        metric["losses"] = [0.0] * len(metric["losses"])

    served = [i for i, m in enumerate(driver.read("metrics")) if m["model"] == "served" and any(m["losses"])]
    assert served
    window = driver.read("metrics")[served[0]]["window"]
    assert audited(driver, altered("metrics", improve, served[0])).failures == (
        f"the losses of window {window} in `metrics` are not those of the predictions as served",
    )


def test_a_label_after_the_horizon_is_not_called_lost() -> None:
    topology = tiny("late", feedback=dataclasses.replace(tiny("late").feedback, late="drop", doubled="drop"))
    driver = Driver(topology)
    for number in range(3):
        driver.produce("events", event(number))
    driver.run()
    driver.produce("feedback", label(0, after=2))
    driver.produce("feedback", label(1, after=30))
    driver.run()
    found = audit(driver.topology, driver.catalog, logs_of(driver))
    assert found.failures == ()
    assert (found.flow.examples, found.flow.unlabelled) == (1, 2)


def test_quantiles_are_values_that_occurred() -> None:
    assert quantiles([]) == {}
    assert quantiles([3.0]) == {"p50": 3.0, "p99": 3.0}
    assert quantiles(list(map(float, range(100)))) == {"p50": 50.0, "p99": 99.0}
