"""What the doctor finds on a cluster: good where it is good, and what to do where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamml import Classification, Events, Feedback, Model, Topology, Transform
from streamml.runtime.applying import carry_out, open_store
from streamml.runtime.connection import Connection
from streamml.runtime.examination import examine_broker, examine_topology, judge

EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [{"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "x", "type": "double"}],
}
LABEL = {
    "type": "record",
    "name": "Label",
    "fields": [{"name": "id", "type": "string"}, {"name": "y", "type": "boolean"}],
}


def shop(name: str) -> Topology:
    return Topology(
        name=name,
        events=Events(EVENT, id="id", time="at"),
        transform=Transform("x"),
        target=Classification(False, True),
        models=(Model("none", object),),
        feedback=Feedback(LABEL, id="id", label="y"),
        partitions=2,
    )


@pytest.mark.kafka
async def test_a_good_broker(kafka: str) -> None:
    broker, *settings = await examine_broker(Connection(kafka))
    assert broker.verdict == "ok"
    assert "Kafka 4.0 or later, 1 broker" in broker.text
    assert [(s.verdict, s.text.partition(" ")[0]) for s in settings] == [("ok", "offsets.retention.minutes")]


async def test_no_broker() -> None:
    (found,) = await examine_broker(Connection("127.0.0.1:9"))
    assert found.verdict == "fail"
    assert "streamml broker up" in found.fix


def test_settings_that_workers_cannot_live_with() -> None:
    good = {
        "offsets.retention.minutes": "10080",
        "transaction.max.timeout.ms": "900000",
        "group.min.session.timeout.ms": "6000",
        "group.max.session.timeout.ms": "1800000",
        "message.max.bytes": "1048588",
    }
    assert [f.verdict for f in judge(good)] == ["ok"]
    assert list(judge({})) == []
    for name, value, verdict, fix in (
        ("offsets.retention.minutes", "1440", "warn", "set it to 10080 or more"),
        ("transaction.max.timeout.ms", "5000", "fail", "set it to 10000 or more"),
        ("group.min.session.timeout.ms", "30000", "fail", "set it to 6000 or less"),
        ("group.max.session.timeout.ms", "5000", "fail", "set it to 6000 or more"),
        ("message.max.bytes", "100000", "fail", "set it to 1000000 or more"),
    ):
        (bad,) = [f for f in judge({**good, name: value}) if f.verdict != "ok"]
        assert (bad.verdict, name in bad.text) == (verdict, True)
        assert bad.fix.startswith(fix)


@pytest.mark.kafka
async def test_a_topology_that_was_not_applied(kafka: str, app_name: str) -> None:
    found = await examine_topology(shop(app_name), Connection(kafka), None)
    assert [(f.verdict, f.subject, f.fix) for f in found] == [
        ("fail", "topics", "run `streamml apply`"),
        ("fail", "schemas", "run `streamml apply`"),
    ]


@pytest.mark.kafka
async def test_an_applied_topology_and_one_that_was_changed_since(kafka: str, app_name: str) -> None:
    store = open_store(app_name, Connection(kafka), None)
    try:
        await carry_out(shop(app_name), Connection(kafka), store)
    finally:
        await store.close()
    found = await examine_topology(shop(app_name), Connection(kafka), None)
    assert [(f.verdict, f.subject) for f in found] == [("ok", "topics"), ("ok", "schemas")]
    found = await examine_topology(replace(shop(app_name), partitions=1), Connection(kafka), None)
    assert "declare partitions=2" in found[0].fix
    assert (found[0].verdict, next(f.verdict for f in found if "features" in f.text)) == ("warn", "fail")
