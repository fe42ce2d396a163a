"""A topic that goes away under a worker is named, and one that came back is not taken for the old one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streamml.errors import BrokerError
from streamml.runtime.admin import TopicSpec, ensure_topics
from streamml.runtime.connection import Connection
from streamml.runtime.topic_ids import topic_ids
from streamml.runtime.topic_watch import TopicWatch

FIRST, OTHER = b"1" * 16, b"2" * 16


def look(*seen: Mapping[str, bytes | None]) -> str:
    """The line that the looks end with; empty if they do not."""
    watch = TopicWatch(Connection("127.0.0.1:9"), ("a", "b"))
    try:
        for found in seen:
            watch.compare(found)
    except BrokerError as error:
        return str(error)
    return ""


def test_a_topic_that_is_missing_twice_running_was_deleted() -> None:
    there, gone = {"a": FIRST, "b": OTHER}, {"a": FIRST, "b": None}
    assert look(there, gone, there, gone) == "", "a broker that has just started may not know of it yet"
    assert look(there, gone, gone).startswith("topic b was deleted while this worker ran")
    assert look({"a": None, "b": None}, gone).startswith("topic b was deleted")


def test_a_topic_of_another_id_was_made_anew() -> None:
    assert look({"a": FIRST, "b": OTHER}, {"a": OTHER, "b": OTHER}).startswith("topic a was deleted and made anew")
    assert look({"a": FIRST}, {"a": None}, {"a": OTHER}).startswith("topic a was deleted and made anew")


def test_what_this_user_may_not_see_is_no_loss() -> None:
    assert look({"a": FIRST, "b": OTHER}, {"a": FIRST}, {"a": FIRST}) == ""


async def ended(watch: TopicWatch) -> None:
    while True:
        watch.check()
        await asyncio.sleep(0.02)


@pytest.mark.kafka
async def test_a_topic_on_a_broker_comes_and_goes(kafka: str, app_name: str) -> None:
    connection, name = Connection(kafka), f"{app_name}.t"
    admin = AIOKafkaAdminClient(**connection.client())
    await admin.start()
    watch = TopicWatch(connection, (name,), every=0.05)
    try:
        assert await topic_ids(admin, [name]) == {name: None}
        assert name not in await admin.list_topics(), "asking creates nothing"
        await ensure_topics(connection, [TopicSpec(name, 2)])
        first = (await topic_ids(admin, [name]))[name]
        assert first is not None
        assert len(first) == 16
        await watch.start()
        watch.check()
        await admin.delete_topics([name])
        with pytest.raises(BrokerError, match=f"topic {name} was deleted"):
            await asyncio.wait_for(ended(watch), 30)
        await ensure_topics(connection, [TopicSpec(name, 2)])
        assert (await topic_ids(admin, [name]))[name] not in (first, None)
    finally:
        await watch.stop()
        await admin.close()
