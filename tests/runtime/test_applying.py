"""Making a cluster ready: a plan that says all, a second time that does nothing, refusals before the first write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from support.kafka import create_topics

from streamml import Classification, Events, Feedback, Model, Topology, Transform
from streamml.errors import SchemaError
from streamml.runtime.applying import Plan, carry_out, open_store, plan, registered
from streamml.runtime.connection import Connection

pytestmark = pytest.mark.kafka

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "at", "type": "long"},
    {"name": "x", "type": "double"},
]


def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def shop(name: str, *more: dict[str, Any]) -> Topology:
    label = record("Label", FIELDS[0], {"name": "y", "type": "boolean"})
    return Topology(
        name=name,
        events=Events(record("Event", *FIELDS, *more), id="id", time="at"),
        transform=Transform("x"),
        target=Classification(False, True),
        models=(Model("none", object),),
        feedback=Feedback(label, id="id", label="y"),
        partitions=2,
    )


async def planned(topology: Topology, kafka: str) -> Plan:
    store = open_store(topology.name, Connection(kafka), None)
    try:
        return await plan(topology, Connection(kafka), store)
    finally:
        await store.close()


async def applied(topology: Topology, kafka: str) -> dict[str, int]:
    store = open_store(topology.name, Connection(kafka), None)
    try:
        return await carry_out(topology, Connection(kafka), store)
    finally:
        await store.close()


def topics_of(kafka: str, app: str) -> set[str]:
    return {name for name in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=30).topics if app in name}


async def test_planned_then_done_then_nothing_to_do(kafka: str, app_name: str) -> None:
    topology = shop(app_name)
    before = await planned(topology, kafka)
    assert not topics_of(kafka, app_name), "a plan writes nothing"
    assert {change.spec.name for change in before.creates} >= {f"{app_name}.events", f"{app_name}.examples"}
    assert {change.change for change in before.schemas} == {"new"}
    assert not before.done
    ids = await applied(topology, kafka)
    assert topics_of(kafka, app_name) == {change.spec.name for change in before.creates}
    after = await planned(topology, kafka)
    assert (after.done, after.refusals, after.differs) == (True, [], [])
    assert await applied(topology, kafka) == ids


async def test_a_schema_may_grow_and_the_plan_shows_from_what(kafka: str, app_name: str) -> None:
    await applied(shop(app_name), kafka)
    grown = shop(app_name, {"name": "more", "type": "double", "default": 0.0})
    found = await planned(grown, kafka)
    (change,) = found.registers
    assert (change.role, change.change) == ("events", "changed")
    assert change.latest is not None
    assert (change.latest[0], len(change.latest[1]["fields"])) == (1, 3)
    await applied(grown, kafka)
    assert (await planned(grown, kafka)).done


async def test_a_schema_that_breaks_its_readers_is_refused_in_the_plan(kafka: str, app_name: str) -> None:
    await applied(shop(app_name), kafka)
    found = await planned(shop(app_name, {"name": "needed", "type": "double"}), kafka)
    (refusal,) = found.refusals
    assert "field needed is new and has no default" in refusal
    assert not found.registers


async def test_other_partitions_are_refused_in_the_plan(kafka: str, app_name: str) -> None:
    await applied(shop(app_name), kafka)
    found = await planned(replace(shop(app_name), partitions=3), kafka)
    assert any(f"topic {app_name}.features has 2 partitions but 3 are declared" in line for line in found.refusals)


async def test_a_setting_that_differs_is_shown_and_left(kafka: str, app_name: str) -> None:
    create_topics(kafka, {f"{app_name}.examples": (1, {"retention.ms": "1000"})})
    await applied(shop(app_name), kafka)
    found = await planned(shop(app_name), kafka)
    assert ("retention.ms", "1000", "-1") in {(c.setting, c.found, c.wanted) for c in found.differs}
    assert found.done


async def test_the_id_of_a_schema_that_is_not_as_registered_is_not_guessed(kafka: str, app_name: str) -> None:
    store = open_store(app_name, Connection(kafka), None)
    try:
        with pytest.raises(SchemaError, match="is not registered: run `streamml apply` first"):
            await registered(shop(app_name), store, "events")
        ids = await carry_out(shop(app_name), Connection(kafka), store)
        assert await registered(shop(app_name), store, "events") == ids["events"]
        grown = shop(app_name, {"name": "more", "type": "double", "default": 0.0})
        with pytest.raises(SchemaError, match="has changed since it was registered"):
            await registered(grown, store, "events")
    finally:
        await store.close()
