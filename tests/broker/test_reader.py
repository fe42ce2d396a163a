"""The independent reader that other tests rely on: to the end, past markers, and nothing that was not committed."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer
from support.kafka import create_topics, produce, read_all
from support.processes import eventually

pytestmark = pytest.mark.kafka


def values(bootstrap: str, topic: str) -> list[bytes | None]:
    return [message.value() for message in read_all(bootstrap, topic)]


def transactional(bootstrap: str, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "transaction.timeout.ms": 60_000})
    producer.init_transactions(30)
    return producer


def test_an_empty_topic_and_partitions_without_records_are_read_to_their_end(kafka: str, app_name: str) -> None:
    topic = f"{app_name}.t"
    create_topics(kafka, {topic: 3})
    assert read_all(kafka, topic) == []
    produce(kafka, topic, [(b"k", b"v", 1_000)], partition=1, headers=[("h", b"x")])
    (message,) = read_all(kafka, topic)
    assert (message.partition(), message.offset(), message.key(), message.value()) == (1, 0, b"k", b"v")
    assert message.timestamp()[1] == 1_000
    assert message.headers() == [("h", b"x")]


def test_aborted_records_are_skipped_and_a_marker_at_the_end_is_no_obstacle(kafka: str, app_name: str) -> None:
    topic = f"{app_name}.t"
    create_topics(kafka, {topic: 1})
    producer = transactional(kafka, app_name)
    for number in range(5):
        producer.begin_transaction()
        producer.produce(topic, f"{number}".encode())
        if number % 2:
            producer.flush(30)
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    assert values(kafka, topic) == [b"0", b"2", b"4"]
    assert len(read_all(kafka, topic, isolation="read_uncommitted")) == 5


def test_an_open_transaction_hides_what_is_behind_it_and_does_not_hang_the_reader(kafka: str, app_name: str) -> None:
    topic = f"{app_name}.t"
    create_topics(kafka, {topic: 1})
    produce(kafka, topic, [(None, b"before")])
    producer = transactional(kafka, app_name)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(30)
    produce(kafka, topic, [(None, b"behind")])
    assert values(kafka, topic) == [b"before"]
    producer.commit_transaction(30)
    # The broker answers once the end is decided; the marker that uncovers the records follows.
    eventually(lambda: values(kafka, topic), lambda found: found == [b"before", b"open", b"behind"])


def test_events_from_decades_ago_and_from_the_future_are_taken_and_kept(kafka: str, app_name: str) -> None:
    topic = f"{app_name}.t"
    create_topics(kafka, {topic: 1})
    century = 36_525 * 86_400_000
    records = [(b"k", f"{at}".encode(), at) for at in (1, century // 4, century)]
    produce(kafka, topic, records)
    assert [message.timestamp()[1] for message in read_all(kafka, topic)] == [at for _, _, at in records]


def test_the_partitioner_is_the_outside_writers_choice(kafka: str, app_name: str) -> None:
    topic = f"{app_name}.t"
    create_topics(kafka, {topic: 8})
    records = [(f"key-{number}".encode(), b"v") for number in range(50)]
    by_crc = produce(kafka, topic, records)
    by_murmur = produce(kafka, topic, records, partitioner="murmur2_random")
    assert [partition for partition, _ in by_crc] != [partition for partition, _ in by_murmur]
    assert len(read_all(kafka, topic)) == 100
