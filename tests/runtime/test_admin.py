"""Topics: planned, created once, differences shown and never changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamml.errors import BrokerError
from streamml.runtime.admin import TopicSpec, ensure_topics, plan_topics, require_topics
from streamml.runtime.connection import Connection

pytestmark = pytest.mark.kafka


async def test_plan_then_create_then_nothing_left(kafka: str, app_name: str) -> None:
    connection = Connection(kafka)
    wanted = [
        TopicSpec(f"{app_name}.events", 3),
        TopicSpec(f"{app_name}.models", 1, {"cleanup.policy": "compact", "max.message.bytes": "2000000"}),
    ]
    plan = await plan_topics(connection, wanted)
    assert [str(change) for change in plan] == [
        f"+ {app_name}.events: 3 partitions",
        f"+ {app_name}.models: 1 partition, cleanup.policy=compact, max.message.bytes=2000000",
    ]
    assert await ensure_topics(connection, wanted) == plan
    assert await ensure_topics(connection, wanted) == []
    await require_topics(connection, [spec.name for spec in wanted])


async def test_a_difference_is_shown_and_left_alone(kafka: str, app_name: str) -> None:
    connection = Connection(kafka)
    spec = TopicSpec(f"{app_name}.models", 1, {"cleanup.policy": "compact"})
    await ensure_topics(connection, [spec])
    other = replace(spec, config={"cleanup.policy": "delete"})
    for _ in range(2):
        assert [str(change) for change in await ensure_topics(connection, [other])] == [
            f"~ {app_name}.models: cleanup.policy is compact, wanted delete"
        ]


async def test_another_number_of_partitions_is_refused_for_a_topic_of_ours_only(kafka: str, app_name: str) -> None:
    connection = Connection(kafka)
    await ensure_topics(connection, [TopicSpec(f"{app_name}.features", 2)])
    with pytest.raises(
        BrokerError, match=rf"{app_name}.features has 2 partitions but 4 are declared: declare partitions=2"
    ):
        await ensure_topics(connection, [TopicSpec(f"{app_name}.features", 4)])
    theirs = TopicSpec(f"{app_name}.features", 4, ours=False)
    assert [str(change) for change in await ensure_topics(connection, [theirs])] == [
        f"~ {app_name}.features: partitions is 2, wanted 4"
    ]


async def test_what_the_broker_refuses_is_one_line(kafka: str, app_name: str) -> None:
    with pytest.raises(BrokerError, match=rf"topic {app_name}.x: the broker refuses \(InvalidConfiguration"):
        await ensure_topics(Connection(kafka), [TopicSpec(f"{app_name}.x", 1, {"no.such.setting": "1"})])


async def test_missing_topics_are_named(kafka: str, app_name: str) -> None:
    with pytest.raises(BrokerError, match=rf"topics missing on .*: {app_name}.a, {app_name}.b: create them"):
        await require_topics(Connection(kafka), [f"{app_name}.b", f"{app_name}.a"])
