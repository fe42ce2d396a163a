"""What must hold of a toy task's topics, however its workers died. Law: judged by an outside read_committed reader."""

from __future__ import annotations

import time
from collections import defaultdict

from confluent_kafka import Message
from crash.toys import folded, tallied
from support.kafka import read_all

Rows = dict[int, list[tuple[bytes, bytes | None]]]


def rows(bootstrap: str, topic: str) -> Rows:
    """(key, value) by partition, in log order."""
    found: Rows = defaultdict(list)
    for message in read_all(bootstrap, topic):
        found[partition(message)].append((message.key() or b"", message.value()))
    return found


def partition(message: Message) -> int:
    number = message.partition()
    assert number is not None
    return number


def latest(log: list[tuple[bytes, bytes | None]]) -> dict[bytes, bytes]:
    """What compaction would leave."""
    kept = dict(log)
    return {key: value for key, value in kept.items() if value is not None}


def await_rows(bootstrap: str, topic: str, wanted: int, timeout: float = 60.0) -> Rows:
    """The topic's rows once there are as many as wanted, or more."""
    until = time.monotonic() + timeout
    while True:
        found = rows(bootstrap, topic)
        count = sum(map(len, found.values()))
        if count >= wanted:
            return found
        assert time.monotonic() < until, f"{topic}: {count} of {wanted} records after {timeout} s"
        time.sleep(0.2)


def judge_tally(bootstrap: str, app: str, sent: int) -> None:
    """Each input record once, in order, with the right count; the changelog is the recomputation."""
    given = rows(bootstrap, f"{app}.in")
    assert sum(map(len, given.values())) == sent
    written = await_rows(bootstrap, f"{app}.out", sent)
    assert sum(map(len, written.values())) == sent
    by_key: dict[bytes, list[bytes]] = defaultdict(list)
    for log in written.values():
        for key, value in log:
            by_key[key].append(value or b"")
    counts: dict[bytes, bytes] = {}
    for log in rows(bootstrap, f"{app}.counts").values():
        counts |= latest(log)
    expected: dict[bytes, list[bytes]] = defaultdict(list)
    for log in given.values():
        for key, value in tallied([(key, value or b"") for key, value in log]):
            expected[key].append(value)
    assert by_key == expected
    assert counts == {key: b"%d" % len(values) for key, values in expected.items()}


def judge_join(bootstrap: str, app: str, ids: int) -> None:
    """Each pair once; nothing is left waiting."""
    pairs = await_rows(bootstrap, f"{app}.pairs", ids)
    assert sorted(row for log in pairs.values() for row in log) == sorted(
        (b"%d" % i, b"left=l%d right=r%d" % (i, i)) for i in range(ids)
    )
    for log in rows(bootstrap, f"{app}.waiting").values():
        assert latest(log) == {}


def judge_fold(bootstrap: str, app: str, sent: int) -> None:
    """Each position told once, in order, with the digest of an uninterrupted fold."""
    values = [value or b"" for _, value in rows(bootstrap, f"{app}.log")[0]]
    assert len(values) == sent
    expected = folded(values)
    told = await_rows(bootstrap, f"{app}.told", len(expected))[0]
    assert [value for _, value in told] == [b"%d %s" % row for row in expected.items()]
