"""Taking records: log order in a partition, inputs side by side, nothing left behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamml.records import LogRecord, TopicPartition
from streamml.runtime.inbox import Inbox

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)


def log(tp: TopicPartition, count: int) -> list[LogRecord]:
    return [LogRecord(tp.topic, tp.partition, 3 * i, 0, None, None) for i in range(count)]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.lists(st.integers(1, 30), min_size=1))
def test_everything_is_taken_once_and_in_order(a0: int, a1: int, b0: int, limits: list[int]) -> None:
    inbox = Inbox({A0: "a", A1: "a", B0: "b"}, ("b", "a"))
    fetched = {A0: log(A0, a0), A1: log(A1, a1), B0: log(B0, b0)}
    assert inbox.put(fetched) == a0 + a1 + b0
    taken: dict[TopicPartition, list[LogRecord]] = {A0: [], A1: [], B0: []}
    turn = 0
    while inbox.size:
        limit = limits[turn % len(limits)]
        turn += 1
        waiting = inbox.size
        batch, spans = inbox.take(limit)
        assert list(batch) == [role for role in ("b", "a") if role in batch]
        records = [r for role in batch for r in batch[role]]
        assert len(records) == waiting - inbox.size <= limit + 3
        for record in records:
            assert isinstance(record, LogRecord)
            taken[TopicPartition(record.topic, record.partition)].append(record)
        for tp, span in spans.items():
            assert taken[tp][-1].offset + 1 == span.end
            assert span.start in {record.offset for record in records}
    assert taken == fetched


def test_inputs_advance_in_proportion() -> None:
    inbox = Inbox({A0: "a", B0: "b"}, ("a", "b"))
    inbox.put({A0: log(A0, 900), B0: log(B0, 100)})
    batch, _ = inbox.take(100)
    assert {role: len(records) for role, records in batch.items()} == {"a": 90, "b": 10}
    assert (inbox.waiting(A0), inbox.waiting(B0), inbox.waiting(A1)) == (810, 90, 0)


def at(tp: TopicPartition, *times: int) -> list[LogRecord]:
    return [LogRecord(tp.topic, tp.partition, offset, time, None, None) for offset, time in enumerate(times)]


def test_aligned_inputs_advance_by_the_times_of_their_records() -> None:
    inbox = Inbox({A0: "a", B0: "b"}, ("a", "b"), aligned=True)
    inbox.put({A0: at(A0, 10, 20, 30), B0: at(B0, *range(100))})
    assert not inbox.exhausted()
    batch, spans = inbox.take(1_000)
    assert {role: [r.timestamp for r in records] for role, records in batch.items()} == {
        "a": [10, 20, 30],
        "b": list(range(31)),
    }
    assert spans == {A0: (0, 3), B0: (0, 31)}
    assert [*inbox.exhausted()] == [A0]
    inbox.put({A0: at(A0, 40, 90)})
    batch, _ = inbox.take(1_000)
    assert [r.timestamp for r in batch["b"]] == list(range(31, 91))
    # Of the other one there is nothing more: it holds up nothing.
    batch, _ = inbox.take(1_000)
    assert [r.timestamp for r in batch["b"]] == list(range(91, 100))
    assert not inbox.size


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_aligned_or_not_everything_is_taken_whatever_the_times(a: list[int], b: list[int], limit: int) -> None:
    inbox = Inbox({A0: "a", B0: "b"}, ("a", "b"), aligned=True)
    inbox.put({A0: at(A0, *a), B0: at(B0, *b)})
    found: dict[str, list[int]] = {"a": [], "b": []}
    while inbox.size:
        before = inbox.size
        batch, _ = inbox.take(limit)
        assert inbox.size < before
        for role, records in batch.items():
            found[role] += [r.timestamp for r in records]
    assert found == {"a": a, "b": b}
