"""The checker over logs in memory: it finds nothing wrong with what streamml does, and anything that is done to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from chaos.expected import Expected, Told, expect
from chaos.judge import Judge
from chaos.reading import Row
from chaos.sender import framing
from chaos.storm import PARTITIONS, storm
from chaos.ticks import Pace, Ticks
from chaos.verdict import Verdict
from support.tiny import START

from streamml.partitioning import partition_of
from streamml.records import LogRecord
from streamml.testing import Driver, ManualClock

PRODUCERS, TICKS, RATE = 2, 1_000, 15.0
"""Two minutes of event time."""

Logs = dict[str, list[list[LogRecord]]]
ROLES = ("events", "feedback", "features", "predictions", "labels", "quarantine", "examples", "metrics")
TOPOLOGY = storm("judged", "unlearnable")


@pytest.fixture(scope="module")
def ran() -> tuple[Logs, Expected]:
    """What a Driver made of two producers' records, with crashes in between."""
    pace, frames = Pace(RATE, PRODUCERS), framing(TOPOLOGY)
    until = pace.time(0, TICKS)
    made = [Ticks(7, producer, pace, frames) for producer in range(PRODUCERS)]
    sent = [out for each in made for tick in range(TICKS) for out in each.at(tick) if out.due <= until]
    sent.sort(key=lambda out: out.due)
    driver = Driver(TOPOLOGY, clock=ManualClock(START + 3_600_000))
    for number, out in enumerate(sent, 1):
        # Labels and events of one id lie in different partitions.
        partition = (partition_of(out.key, PARTITIONS) + (out.role == "events")) % PARTITIONS
        driver.produce(out.role, out.value, key=out.key, partition=partition)
        if number % 37 == 0:
            driver.run(2)
        if number % 1_500 == 0:
            driver.crash()
    driver.run()
    logs = {role: _partitions(driver, role) for role in (*ROLES, "match-changelog")}
    return logs, expect(7, pace, frames, [Told(TICKS, until)] * PRODUCERS)


def _partitions(driver: Driver, role: str) -> list[list[LogRecord]]:
    topic = TOPOLOGY.topic(role)
    return [driver.logs.read(tp, 0) for tp in driver.logs.partitions(topic)]


def judged(logs: Logs, expected: Expected) -> Verdict:
    def read(role: str, partition: int | None) -> Iterator[Row]:
        chosen = logs[role] if partition is None else [logs[role][partition]]
        for log in chosen:
            for r in log:
                yield Row(r.partition, r.offset, r.timestamp, r.key or b"", r.value, dict(r.headers))

    return Judge(TOPOLOGY, expected, read, lambda line: None).judge()


def test_an_honest_run_is_good(ran: tuple[Logs, Expected]) -> None:
    verdict = judged(*ran)
    assert verdict.failures == []
    figures = verdict.figures
    assert figures["models equal"]
    assert figures["predictions"] == figures["predictions made again"] > PRODUCERS * TICKS - 200
    assert 100 < figures["pending expected"] <= figures["pending found"]
    assert figures["pending found"] <= figures["pending expected"] + figures["pending perhaps"]
    assert (figures["lost"], figures["doubled"], figures["disordered"]) == (0, 0, 0)
    assert figures["examples"] > 1_000


def drop(logs: Logs, role: str) -> None:
    del logs[role][0][len(logs[role][0]) // 2]


def double(logs: Logs, role: str) -> None:
    log = logs[role][0]
    log.insert(len(log) // 2, log[len(log) // 2])


def forget(logs: Logs) -> None:
    """Lose a window of the champion."""
    log = logs["metrics"][0]
    del log[next(n for n, record in enumerate(log) if record.key == b"lr/0")]


def swap(logs: Logs, role: str) -> None:
    """Turn a part of a partition round."""
    log = logs[role][1]
    log[100:200] = log[100:200][::-1]


def flip(logs: Logs, role: str, at: int = -3) -> None:
    log = logs[role][0]
    record = log[len(log) // 2]
    value = bytearray(record.value or b"")
    value[at] ^= 1
    log[len(log) // 2] = record._replace(value=bytes(value))


CASES: list[tuple[str, Callable[[Logs], None], str]] = [
    ("lost prediction", lambda logs: drop(logs, "predictions"), "predictions: 1 lost"),
    ("lost features", lambda logs: drop(logs, "features"), "features: 1 lost"),
    ("lost label", lambda logs: drop(logs, "labels"), "labels: 1 lost"),
    ("lost example", lambda logs: drop(logs, "examples"), "examples: 1 lost"),
    ("lost event", lambda logs: drop(logs, "events"), "events against what was sent: 1 lost"),
    ("lost quarantine", lambda logs: drop(logs, "quarantine"), "quarantine: 1 records are not there"),
    ("lost window", lambda logs: forget(logs), "metrics of lr"),
    ("doubled prediction", lambda logs: double(logs, "predictions"), "predictions: 1 doubled"),
    ("doubled label", lambda logs: double(logs, "labels"), "labels: 1 doubled"),
    ("doubled example", lambda logs: double(logs, "examples"), "examples: 1 doubled"),
    ("doubled quarantine", lambda logs: double(logs, "quarantine"), "quarantine: 1 records are there twice"),
    ("disordered predictions", lambda logs: swap(logs, "predictions"), "disordered"),
    ("disordered labels", lambda logs: swap(logs, "labels"), "disordered"),
    ("other features", lambda logs: flip(logs, "features"), "features: 1 are not those of their event"),
    ("other prediction", lambda logs: flip(logs, "predictions", 20), "other predictions than served"),
    ("other label", lambda logs: flip(logs, "labels", 5), "labels: 1 altered"),
    ("other example", lambda logs: flip(logs, "examples"), "examples: 1 not what was joined"),
    ("other order of examples", lambda logs: logs["examples"][0].reverse(), "model lr"),
    ("no changelog", lambda logs: logs["match-changelog"][2].clear(), "pending in partition 2"),
    ("one entry more", lambda logs: _revive(logs), "unexpected"),
]


def _revive(logs: Logs) -> None:
    """Let the deletion of one id fail."""
    log = logs["match-changelog"][1]
    gone = next(n for n, record in enumerate(log) if record.value is None)
    del log[gone]


@pytest.mark.parametrize(("done", "shows"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_was_done_to_the_logs_is_found(
    ran: tuple[Logs, Expected], done: Callable[[Logs], None], shows: str
) -> None:
    logs, expected = ran
    changed = {role: [list(log) for log in parts] for role, parts in logs.items()}
    done(changed)
    verdict = judged(changed, expected)
    assert any(shows in line for line in verdict.failures), verdict.failures
