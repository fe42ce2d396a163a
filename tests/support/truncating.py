"""The beginning of a log, deleted as retention does it, but now."""

from __future__ import annotations

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient


def delete_before(bootstrap: str, topic: str, offset: int) -> None:
    """Delete what partition 0 holds before `offset`, and wait until the broker has done it."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        assert future.result(30).low_watermark == offset
