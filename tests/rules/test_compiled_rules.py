"""Compiled rules: the first one broken refuses, with its name, its field and both sides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamml.errors import DecodeError
from streamml.rules import MAX_SIZE, compile_rules, max_size_of
from streamml.topology import Check, EventTime, MaxSize, OneOf, Range, Required, Rule

NOW = 1_700_000_000_000
HOUR = 3_600_000


def refusal(rules: list[Rule], event: Mapping[str, Any], time: int = NOW) -> DecodeError | None:
    try:
        compile_rules(rules)(event, time, NOW)
    except DecodeError as error:
        return error
    return None


def panic(event: Mapping[str, Any]) -> bool:
    raise BaseException("a panic\nof an extension")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def mute(event: Mapping[str, Any]) -> bool:
    raise Mute


@pytest.mark.parametrize(
    ("rule", "good", "bad", "name", "field", "says"),
    [
        (
            Required("a", "b"),
            {"a": 0, "b": ""},
            {"a": 1, "b": None},
            "required",
            "b",
            "field b is null; expected a value",
        ),
        (Range("a", 0, 1), {"a": 1.0}, {"a": 1.5}, "range", "a", "field a is 1.5; expected 0 <= a <= 1"),
        (Range("a", low=0), {"a": 5}, {"a": -1}, "range", "a", "field a is -1; expected 0 <= a"),
        (Range("a", high=0), {"a": -5}, {"a": 1}, "range", "a", "field a is 1; expected a <= 0"),
        (Range("a", 0, 1), {"a": None}, {"a": 2}, "range", "a", "field a is 2"),
        (OneOf("a", "x", "y"), {"a": "y"}, {"a": "z"}, "one_of", "a", "field a is 'z'; expected one of 'x', 'y'"),
        (OneOf("a", 1), {"a": None}, {"a": 2}, "one_of", "a", "field a is 2; expected one of 1"),
        (Check("sane", lambda e: e["a"] > 0), {"a": 1}, {"a": 0}, "check:sane", None, "check sane is false"),
        (Check("sane", lambda e: e["a"] > 0), {"a": 1}, {"a": "x"}, "check:sane", None, "raised TypeError: '>' not"),
        (
            Check("sane", lambda e: e["a"] or panic(e)),
            {"a": 1},
            {"a": 0},
            "check:sane",
            None,
            "BaseException: a panic of",
        ),
        (Check("sane", lambda e: e["a"] or mute(e)), {"a": 1}, {"a": 0}, "check:sane", None, "raised Mute;"),
    ],
)
def test_each_rule(
    rule: Rule, good: dict[str, Any], bad: dict[str, Any], name: str, field: str | None, says: str
) -> None:
    assert refusal([rule], good) is None
    refused = refusal([rule], bad)
    assert refused is not None
    assert (refused.rule, refused.field) == (name, field)
    assert says in str(refused)
    assert "\n" not in str(refused)


def test_event_time() -> None:
    rule = EventTime(max_age=timedelta(hours=2), max_ahead=timedelta(hours=1))
    for time in (NOW - 2 * HOUR, NOW, NOW + HOUR):
        assert refusal([rule], {}, time) is None
    late, early = refusal([rule], {}, NOW - 2 * HOUR - 1), refusal([rule], {}, NOW + HOUR + 1)
    assert late is not None
    assert early is not None
    assert late.rule == early.rule == "event_time"
    assert "is 2023-11-14T20:13:19.999+00:00; expected at most 2:00:00 before 2023-11-14T22:13:20.000+00:00" in str(
        late
    )
    assert "expected at most 1:00:00 after" in str(early)
    assert refusal([EventTime(max_ahead=None)], {}, NOW + 99 * HOUR) is None


def test_the_first_broken_rule_counts() -> None:
    rules: list[Rule] = [Required("a"), Range("b", 0, 1), OneOf("c", "x")]
    event = {"a": None, "b": 2, "c": "y"}
    for order, name in ((rules, "required"), (rules[1:], "range"), (rules[::-1], "one_of")):
        refused = refusal(order, event)
        assert refused is not None
        assert refused.rule == name


def test_a_check_cannot_change_the_event() -> None:
    def change(event: Any) -> bool:
        event["a"] = 2
        return True

    event = {"a": 1}
    refused = refusal([Check("change", change)], event)
    assert refused is not None
    assert refused.rule == "check:change"
    assert event == {"a": 1}


def test_a_check_does_not_hold_back_an_interrupt() -> None:
    def interrupt(event: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_rules([Check("stop", interrupt)])({}, NOW, NOW)


def test_the_size_is_bounded_unless_declared() -> None:
    assert max_size_of([]) == MAX_SIZE == 1 << 20
    assert max_size_of([MaxSize(10)]) == 10
    assert refusal([MaxSize(10)], {}) is None


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.floats() | st.integers())
def test_a_range_is_a_range(low: float, high: float, value: float) -> None:
    assert (refusal([Range("a", low, high)], {"a": value}) is None) == (low <= value <= high)
