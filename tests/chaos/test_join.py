"""The checker's join against the agent's: two implementations of one law agree, and each outcome is as the law says."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from chaos.join import Joined, recompute
from chaos.pending import differences, remembered

from streamml.agents.match import Match
from streamml.agents.quarantine import Quarantine
from streamml.records import LogRecord, TopicPartition, Writes
from streamml.topology import Feedback

HORIZON, GRACE = 100, 10


class Reason:
    """Stands for the codec of a quarantine reason: the offset alone."""

    def encode(self, value: dict[str, Any]) -> bytes:
        return b"%d" % value["offset"]


def rec(role: str, id: str, time: int, offset: int = 0, value: str = "") -> LogRecord:
    return LogRecord(role, 0, offset, time, id.encode(), f"head5{value or role}-{id}".encode())


def joined(events: list[tuple[str, int]], labels: list[tuple[str, int]]) -> Joined:
    features = [rec("features", id, time, n) for n, (id, time) in enumerate(events)]
    predictions = [rec("predictions", id, time, n) for n, (id, time) in enumerate(events)]
    given = [rec("labels", id, time, n, f"{n}") for n, (id, time) in enumerate(labels)]
    return recompute(features, predictions, given, HORIZON, GRACE)  # type: ignore[arg-type]  # records with keys


def test_an_example_is_label_prediction_and_features() -> None:
    assert joined([("a", 0)], [("a", 5)]).bodies == {b"a": b"0-apredictions-afeatures-a"}


def test_the_first_label_counts_and_the_others_are_refused() -> None:
    found = joined([("a", 0)], [("a", 5), ("a", 6)])
    assert found.bodies[b"a"].startswith(b"0-a")
    assert found.refused == {1}


@pytest.mark.parametrize("time", [HORIZON + 1, -GRACE - 1])
def test_late_and_early_labels_are_refused(time: int) -> None:
    found = joined([("a", 0)], [("a", time)])
    assert (found.bodies, found.refused) == ({}, {0})


def test_a_label_that_its_stream_has_passed_is_overtaken() -> None:
    found = joined([("a", 0), ("b", 150), ("c", 400)], [("b", 150), ("a", 5)])
    assert (set(found.bodies), found.refused, found.overtaken) == ({b"b"}, {1}, {b"a"})


def test_what_waits_is_pending() -> None:
    found = joined([("a", 0), ("b", 50)], [("b", 55), ("c", 60)])
    assert found.pending == {b"a": (True, 0), b"c": (False, 1)}
    assert found.settled == {b"b"}


def random_logs(seed: int) -> tuple[list[LogRecord], list[LogRecord], list[LogRecord]]:
    dice = Random(seed)
    times = {f"i{n}": n * 3 + dice.randint(0, 40) for n in range(300)}
    order = sorted(times, key=lambda id: times[id] + (dice.random() < 0.05) * dice.randint(50, 300))
    order += [id for id in order if dice.random() < 0.02]
    features = [rec("features", id, times[id], n) for n, id in enumerate(order)]
    predictions = [rec("predictions", id, times[id], n) for n, id in enumerate(order)]
    known = []
    for id, time in times.items():
        for _ in range(dice.choice([0, 1, 1, 1, 1, 2])):
            at = time + dice.choice([5, 20, 60, 99, 101, 130, -30])
            known.append((at + (dice.random() < 0.05) * dice.randint(50, 300), id, at))
    known += [(n * 20, f"x{n}", n * 20) for n in range(30)]
    known = sorted(each for each in known if each[0] < 880)  # The last events wait for theirs.
    labels = [rec("labels", id, at, n, f"l{n}") for n, (_, id, at) in enumerate(known)]
    return features, predictions, labels


def drive(seed: int, logs: tuple[list[LogRecord], ...]) -> tuple[Writes, list[LogRecord]]:
    """The agent over the same logs, read in a random interleaving; its examples and refusals, and its changelog."""
    feedback = Feedback(
        "none",
        id="id",
        label="y",
        horizon=timedelta(milliseconds=HORIZON),
        grace=timedelta(milliseconds=GRACE),
        late="quarantine",
        doubled="quarantine",
        orphan="quarantine",
        idle=timedelta(days=1),
    )
    agent = Match(
        feedback,
        TopicPartition("labels", 0),
        lambda label, prediction, features: label[5:] + prediction[5:] + features[5:],
        lambda key, time, value: b"",
        Quarantine(Reason(), "match"),
    )
    agent.resume({})
    dice, at, written, changelog = Random(seed), [0, 0, 0], Writes(), list[LogRecord]()
    while any(n < len(log) for n, log in zip(at, logs, strict=True)):
        batch = {}
        for index, role in enumerate(("features", "predictions", "labels")):
            size = dice.randint(0, 30)
            batch[role] = logs[index][at[index] : at[index] + size]
            at[index] += len(batch[role])
        _step(agent, batch, written, changelog)
    for _ in range(3):
        _step(agent, {}, written, changelog)
    return written, changelog


def _step(agent: Match, batch: dict[str, list[LogRecord]], written: Writes, changelog: list[LogRecord]) -> None:
    for role, writes in agent.step(batch, 0).items():
        written.setdefault(role, []).extend(writes)
    for writes in agent.checkpoint(0).values():
        changelog += [LogRecord("changelog", 0, 0, 0, key, value) for key, value, _, _ in writes]


@pytest.mark.parametrize("seed", range(20))
def test_the_agent_and_the_checker_agree(seed: int) -> None:
    logs = random_logs(seed)
    found = recompute(*logs, HORIZON, GRACE)  # type: ignore[arg-type]  # records with keys
    written, changelog = drive(seed, logs)
    assert {key: value for key, value, _, _ in written["examples"]} == found.bodies
    refused = {int(dict(headers)["streamml.quarantine"]) for _, _, _, headers in written["quarantine"]}
    assert found.refused <= refused <= found.refused | found.perhaps_refused
    assert differences(found, remembered(changelog)) == {}  # type: ignore[arg-type]  # records with keys
    assert len(found.bodies) > 100
    assert len(found.pending) > 5


def test_a_difference_is_named() -> None:
    found = joined([("a", 0)], [])
    assert differences(found, remembered([])) == {"missing": [b"a"]}
