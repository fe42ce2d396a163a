"""What the demo sends: each shipped stream, through the agents of its topology, malformed records among it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from streamml import Topology, load_topology
from streamml.demo.audit import audit
from streamml.demo.datasets import DATASETS, dataset_of, friedman, rows
from streamml.demo.flow import ROLES
from streamml.demo.malformed import malformed_labels
from streamml.demo.script import Script, check_delay, write_script
from streamml.engine.check import check
from streamml.errors import StreammlError
from streamml.testing import Driver

ROWS, DELAY = 400, 48


def scripted(driver: Driver, name: str, count: int = ROWS, delay: int = DELAY) -> Script:
    dataset = dataset_of(name)
    stream = rows(driver.topology, driver.catalog.schema("events"), dataset, count)
    return write_script(driver.topology, driver.catalog, dataset, stream, delay, driver.clock())


def play(driver: Driver, script: Script) -> None:
    for number, message in enumerate(script.messages):
        driver.produce(message.topic.rpartition(".")[2], message.value, key=message.key)
        if number % 50 == 0:
            driver.run()
    driver.run()


@pytest.mark.parametrize("name", DATASETS)
def test_every_shipped_stream_passes_and_every_malformed_record_does_not(name: str) -> None:
    topology = load_topology(name)
    assert check(topology) == []
    driver = Driver(topology)
    script = scripted(driver, name)
    play(driver, script)
    logs = {role: driver.records(role) for role in ROLES}
    found = audit(topology, driver.catalog, logs, malformed=len(script.malformed))
    assert found.failures == ()
    assert (found.flow.predictions, found.flow.examples, found.flow.unlabelled) == (ROWS, ROWS, 0)
    assert len(script.malformed) >= 9
    assert {one.role for one in script.malformed} == {"events", "feedback"}


def test_the_malformed_records_break_different_rules() -> None:
    driver = Driver(load_topology("friedman"))
    play(driver, scripted(driver, "friedman"))
    logs = {role: driver.records(role) for role in ROLES}
    rules = audit(driver.topology, driver.catalog, logs).flow.rules
    assert {"empty", "magic", "truncated", "schema_id", "trailing", "finite", "range", "event_time"} <= rules.keys()


def electricity() -> tuple[Topology, Script]:
    driver = Driver(load_topology("electricity"))
    return driver.topology, scripted(driver, "electricity")


def test_a_label_follows_its_event_by_the_delay() -> None:
    topology, script = electricity()
    good = [m for m in script.messages if not (m.key or b"").startswith(b"malformed")]
    order = [(m.topic.rpartition(".")[2], int(m.key or b"")) for m in good]
    assert Counter(role for role, _ in order) == {"events": ROWS, "feedback": ROWS}
    for number in (0, 100, ROWS - DELAY - 1):
        assert order.index(("feedback", number)) == order.index(("events", number + DELAY)) + 1
    assert order[-DELAY:] == [("feedback", number) for number in range(ROWS - DELAY, ROWS)]
    for role in ("events", "feedback"):
        assert [number for which, number in order if which == role] == list(range(ROWS))
    assert topology.partitions >= 1


def test_a_label_becomes_known_with_the_event_of_the_row_that_it_waits_for() -> None:
    driver = Driver(load_topology("electricity"))
    script = scripted(driver, "electricity")
    play(driver, script)
    times = {event["id"]: event["event_time"] for event in driver.read("features")}
    labels = {label["id"]: label["time"] for label in driver.read("labels")}
    assert labels["0"] == times["48"]
    assert all(later - sooner == 1_800_000 for sooner, later in pairwise(sorted(labels.values())))
    assert labels[str(ROWS - 1)] == times[str(ROWS - 1)] + DELAY * 1_800_000


def test_malformed_records_are_spread_over_the_run() -> None:
    _, script = electricity()
    at = [i for i, message in enumerate(script.messages) if (message.key or b"").startswith(b"malformed")]
    assert len(at) == len(script.malformed)
    assert all(late - soon > ROWS // 20 for soon, late in pairwise(at))


def test_a_run_without_delay_sends_each_label_right_after_its_event() -> None:
    driver = Driver(load_topology("electricity"))
    play(driver, scripted(driver, "electricity", 60, 0))
    logs = {role: driver.records(role) for role in ROLES}
    assert audit(driver.topology, driver.catalog, logs, malformed=11).failures == ()


def test_labels_later_than_the_horizon_are_refused_before_anything_is_sent() -> None:
    topology = load_topology("electricity")
    check_delay(topology, DATASETS["electricity"], 336)
    with pytest.raises(StreammlError, match="--delay may be 336 at most"):
        check_delay(topology, DATASETS["electricity"], 337)


def test_a_topology_without_data_says_which_have_some() -> None:
    with pytest.raises(StreammlError, match="the demo plays electricity, covertype, friedman"):
        dataset_of("mine.py")
    assert dataset_of("topology/electricity.py") is DATASETS["electricity"]


def test_a_field_that_the_data_do_not_have_is_named() -> None:
    driver = Driver(load_topology("friedman"))
    with pytest.raises(StreammlError, match="the data of friedman have no column x0"):
        rows(driver.topology, driver.catalog.schema("events"), DATASETS["electricity"], 1)


def test_the_data_sets_have_as_many_rows_as_they_say() -> None:
    assert sum(1 for _ in friedman()) == DATASETS["friedman"].rows
    topology = load_topology("electricity")
    schema = Driver(topology).catalog.schema("events")
    stream = rows(topology, schema, DATASETS["electricity"], 100_000)
    assert len(stream) == DATASETS["electricity"].rows
    assert Counter(row.label for row in stream) == {"DOWN": 26_075, "UP": 19_237}


def test_a_number_as_label_can_be_spoiled_too() -> None:
    topology = load_topology("friedman")
    driver = Driver(topology)
    label = {"id": "1", "y": 2.5, "time": 0}
    kinds = [one.kind for one in malformed_labels(topology, driver.catalog.codec("feedback").encode, label)]
    assert kinds == ["half a label", "a label that is not a number"]
