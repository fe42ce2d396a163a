"""Mistakes in a declaration of events, feedback and rules: one line each, with the fix."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streamml.rules import check_events
from streamml.topology import (
    Check,
    Classification,
    Events,
    EventTime,
    Feedback,
    MaxSize,
    Model,
    OneOf,
    Range,
    Regression,
    Required,
    Topology,
    Transform,
)

EVENTS = Events("elec2.event", id="id", time="timestamp")
FEEDBACK = Feedback("elec2.label", id="id", label="class", time="time")
GOOD = Topology(
    name="t",
    events=EVENTS,
    transform=Transform("period"),
    target=Classification("DOWN", "UP"),
    models=(Model("m", lambda: None),),
    feedback=FEEDBACK,
    rules=(
        Required("nswprice"),
        Range("nswprice", 0, 1),
        OneOf("day", *range(1, 8)),
        EventTime(),
        MaxSize(4096),
        Check("sane", lambda event: True),
    ),
)


def schema(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def test_a_good_declaration_has_no_problems() -> None:
    assert check_events(GOOD) == []


XML: Any = "xml"
FIVE: Any = 5
LONE = schema(id="string", t="long", day="string", kind={"type": "enum", "name": "K", "symbols": ["A"]}, x="double")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"events": replace(EVENTS, id="ids")}, "events: id: field ids is not in the schema; did you mean id?"),
        (
            {"events": replace(EVENTS, id="period")},
            "events: id: field period is double; it must be a string, an int or a long",
        ),
        (
            {"events": replace(EVENTS, time="timestmap")},
            "events: time: field timestmap is not in the schema; did you mean timestamp?",
        ),
        ({"events": replace(EVENTS, time="day")}, "events: time: field day is int; it must be a long"),
        ({"events": replace(EVENTS, time="zzz")}, "it has id, timestamp, day"),
        ({"events": replace(EVENTS, entity="nope")}, "events: entity: field nope is not in the schema"),
        ({"events": replace(EVENTS, schema="nowhere")}, "events: no schema nowhere; looked for"),
        ({"events": replace(EVENTS, format=XML)}, "events: format 'xml' is unknown; give 'avro' or 'json'"),
        (
            {"feedback": replace(FEEDBACK, label="klass")},
            "feedback: label: field klass is not in the schema; did you mean class?",
        ),
        ({"feedback": replace(FEEDBACK, time="class")}, "feedback: time: field class is string; it must be a long"),
        (
            {"target": Regression()},
            "feedback: label: field class is string; it must be a number, as the target is a regression",
        ),
        (
            {"target": Classification(1, 2)},
            "feedback: label: field class is string; it must be int or long, as the classes are",
        ),
        ({"target": Classification(True, False)}, "it must be boolean, as the classes are"),
        ({"rules": (Required("a"),)}, "rules: Required: field a is not in the schema"),
        ({"rules": (Required(),)}, "rules: Required() names no field"),
        (
            {"rules": (Range("nswprise", 0, 1),)},
            "rules: Range: field nswprise is not in the schema; did you mean nswprice?",
        ),
        ({"rules": (Range("id", 0, 1),)}, "rules: Range: field id is string; it must be a number"),
        ({"rules": (Range("day"),)}, "rules: Range('day') has no bound"),
        ({"rules": (Range("day", 2, 1),)}, "rules: Range('day') has low 2 above high 1, so no event passes"),
        ({"rules": (Range("day", float("nan"), 1),)}, "each must be a number"),
        ({"rules": (OneOf("day"),)}, "rules: OneOf('day') has no values"),
        ({"rules": (OneOf("day", "1"),)}, "rules: OneOf('day') has '1', but the field is int"),
        ({"rules": (OneOf("day", True),)}, "rules: OneOf('day') has True, but the field is int"),
        ({"rules": (OneOf("nswprice", 1),)}, "rules: OneOf: field nswprice is double; it must be a string, an enum"),
        (
            {"events": Events(LONE, "id", "t"), "rules": (OneOf("kind", "B"),)},
            "has 'B', which is no symbol of the enum; it has A",
        ),
        ({"rules": (EventTime(max_age=timedelta(-1)),)}, "rules: EventTime max_age is"),
        ({"rules": (EventTime(), EventTime())}, "rules: EventTime is declared twice"),
        ({"rules": (MaxSize(0),)}, "rules: MaxSize is 0; give a number of bytes, at least 1"),
        ({"rules": (Check("a", lambda e: True), Check("a", lambda e: True))}, "rules: 2 checks are named 'a'"),
        ({"rules": (Check("a b", lambda e: True),)}, "rules: Check name 'a b' cannot be used"),
        ({"rules": (Check("a", FIVE),)}, "rules: the test of Check 'a' is a int; give a function"),
        ({"rules": ("range",)}, "rules: 'range' is no rule"),
    ],
)
def test_each_mistake_is_one_line_with_the_fix(change: dict[str, Any], says: str) -> None:
    found = check_events(replace(GOOD, **change))
    assert len(found) == 1, found
    assert says in found[0]
    assert "\n" not in found[0]


def test_all_mistakes_are_told_at_once() -> None:
    topology = replace(GOOD, events=replace(EVENTS, id="ids", time="when"), rules=(Range("x", 0), OneOf("y", 1)))
    assert len(check_events(topology)) == 4


@pytest.mark.parametrize("kind", ["long", {"type": "long", "logicalType": "timestamp-micros"}, ["null", "long"]])
def test_any_long_can_be_the_time(kind: Any) -> None:
    assert check_events(replace(GOOD, events=Events(schema(id="long", t=kind), "id", "t"), rules=())) == []
