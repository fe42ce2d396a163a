"""A step may ask no record where it stands: on Kafka it could not say. So the agents are driven by records that cannot,
with all that they refuse, and write what they write otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from support.tiny import event, label, tiny

from streamml import Transform
from streamml.agents.quarantine import REASON
from streamml.records import Headers
from streamml.testing import Driver, driver


class Bare(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def moody(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["temperature"] > 50:
        raise ValueError("too hot to think")
    return {"temperature": event["temperature"], "pressure": event["pressure"]}


def lived() -> Driver:
    made = Driver(tiny("bare", partitions=3, transform=Transform("temperature", "pressure", using=moody)))
    for number in range(60):
        made.produce("events", event(number), partition=number % 3)
        made.produce("feedback", label(number), partition=(number + 1) % 3)
        if number % 20 == 7:
            made.produce("events", b"junk", partition=2)
            made.produce("events", {**event(number + 1_000), "temperature": 55.0}, partition=2)
            made.produce("events", {**event(number + 2_000), "temperature": 99.0}, partition=1)
            made.produce("feedback", b"junk", partition=2)
            made.produce("feedback", label(number), partition=0)
            for role in ("control", "alerts", "metrics"):
                made.produce(role, b"junk", key=b"lr/1")
        made.run()
    return made


def test_the_agents_need_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = lived()
    session: Any = driver._Session
    batch = session._batch

    def stripped(self: Any, *spans: Any) -> dict[str, list[Bare]]:
        return {role: [Bare(*record[2:]) for record in records] for role, records in batch(self, *spans).items()}

    monkeypatch.setattr(session, "_batch", stripped)
    bare = lived()
    for role in ("features", "predictions", "labels", "examples", "quarantine", "metrics", "alerts", "control"):
        assert bare.records(role) == placed.records(role), role
    assert bare.reports == placed.reports


def test_a_refused_record_says_where_it_stood() -> None:
    made = lived()
    logs = {tp: made.records(role) for role in ("events", "feedback", "labels") for tp in [made.topology.topic(role)]}
    rules = set()
    for record in made.records("quarantine"):
        reason = made.catalog.codec("quarantine").decode(dict(record.headers)[REASON])
        rules.add((reason["topic"], reason["rule"]))
        [source] = [
            one
            for one in logs[reason["topic"]]
            if (one.partition, one.offset) == (reason["partition"], reason["offset"])
        ]
        assert (source.key, source.value) == (record.key, record.value)
    assert rules >= {
        ("bare.events", "magic"),
        ("bare.events", "transform"),
        ("bare.events", "range"),
        ("bare.feedback", "magic"),
        ("bare.labels", "doubled_label"),
    }
    decisions = [record.value for record in made.records("control") if record.value != b"junk"]
    entries = [made.catalog.codec("control").decode(value) for value in decisions]
    unreadable = [entry["reason"] for entry in entries if entry["action"] == "unreadable"]
    assert [reason.split(" cannot")[0] for reason in unreadable][:1] == ["the command at bare.control[0]@1"]
    assert any(report.startswith("bare.alerts[0]@") for report in made.reports)
    assert any(report.startswith("bare.metrics[0]@") for report in made.reports)
