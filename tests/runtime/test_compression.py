"""Producers compress as they like: every codec of Kafka can be read."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer
from support.kafka import create_topics

from streamml.runtime.connection import Connection
from streamml.runtime.reading import read_topic


@pytest.mark.kafka
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_a_compressed_batch_is_read(kafka: str, app_name: str, codec: str) -> None:
    create_topics(kafka, {app_name: 1})
    producer = Producer({"bootstrap.servers": kafka, "compression.type": codec, "linger.ms": 100})
    sent = [f"{number} ".encode() * 50 for number in range(100)]
    for value in sent:
        producer.produce(app_name, value)
    assert producer.flush(30) == 0
    assert [record.value for record in await read_topic(Connection(kafka), app_name)] == sent
