"""Transactions outlive a broker that is killed: what was aborted is never read, what was committed is read once.

Apache Kafka (4.3) gives up the markers of a transaction that ends while no partition of it has a leader, as if the
topics had been deleted. A single node that is killed and started again comes to that point at each start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer
from support.kafka import create_topics, read_all

from streamml.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TIMEOUT_MS = 1_500


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    own = Broker(tmp_path / "kafka", 0, tied=True)
    yield own
    own.kill()


def writer(bootstrap: str) -> Producer:
    producer = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": "writer", "transaction.timeout.ms": TIMEOUT_MS}
    )
    producer.init_transactions(30)
    return producer


def test_a_transaction_that_a_kill_cut_off_is_aborted_wherever_it_wrote(broker: Broker) -> None:
    bootstrap = broker.up()
    create_topics(bootstrap, {"log": 1})
    first = writer(bootstrap)
    first.begin_transaction()
    first.produce("log", b"cut off")
    first.flush(30)
    broker.kill()
    time.sleep(TIMEOUT_MS / 1_000)  # It has expired when the broker comes back, so the broker itself aborts it.
    again = writer(broker.up())
    again.begin_transaction()
    again.produce("log", b"whole")
    again.commit_transaction(30)
    assert [message.value() for message in read_all(bootstrap, "log")] == [b"whole"]
    with pytest.raises(KafkaException):
        first.commit_transaction(30)
