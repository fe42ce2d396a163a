"""Declared rules made into one function. Law: the first rule that an event breaks refuses it, and says both sides of
it.

The rules keep their declared order. What is made is Python source, one comparison a rule, so that a rule costs about
as much as it would written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from streamml.errors import DecodeError
from streamml.rules.identity import MAX_TIME, moment
from streamml.topology import Check, EventTime, MaxSize, OneOf, Range, Required, Rule

Checks = Callable[[Mapping[str, Any], int, int], None]
"""(canonical event, its time in ms, the time at which it is validated in ms); raises DecodeError."""

MAX_SIZE = MaxSize().bytes
"""Bytes of a record's value where no `MaxSize` is declared."""

_SHOWN = 60


def max_size_of(rules: Iterable[Rule]) -> int:
    """The bound on a record's value, in bytes; it is looked at before the record is decoded."""
    return min((rule.bytes for rule in rules if isinstance(rule, MaxSize)), default=MAX_SIZE)


def with_event_time(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that hold: an `EventTime()` stands beside them where none is declared.

    One record from the far future would move the clocks by which the join tells late from early, for ever.
    """
    given = tuple(rules)
    return given if any(isinstance(rule, EventTime) for rule in given) else (*given, EventTime())


def max_ahead_of(rules: Iterable[Rule]) -> int:
    """How far in ms a time may lie ahead; without a bound, as far as there are times."""
    ahead = next((rule.max_ahead for rule in rules if isinstance(rule, EventTime)), None)
    return MAX_TIME if ahead is None else _millis(ahead)


def compile_rules(rules: Iterable[Rule]) -> Checks:
    """One check of all rules but `MaxSize`. The fields that they name must exist, see `check_events`."""
    scope: dict[str, Any] = {"refuse": _refuse, "run": _run, "proxy": MappingProxyType}
    lines: list[str] = []
    for number, rule in enumerate(rules):
        lines += _lines(rule, f"r{number}", scope)
    if any(isinstance(rule, Check) for rule in rules):
        lines.insert(0, "shown = proxy(event)")
    source = "\n    ".join(["def check(event, time, now):", *(lines or ["pass"])])
    exec(source, scope)
    check: Checks = scope["check"]
    return check


def _lines(rule: Rule, name: str, scope: dict[str, Any]) -> list[str]:
    scope[name] = rule
    if isinstance(rule, Required):
        return [f"if event[{field!r}] is None: refuse({name}, {field!r}, None, now)" for field in rule.fields]
    if isinstance(rule, Range):
        test = "value"
        if rule.low is not None:
            scope[f"{name}_low"] = rule.low
            test = f"{name}_low <= {test}"
        if rule.high is not None:
            scope[f"{name}_high"] = rule.high
            test = f"{test} <= {name}_high"
        if test == "value":
            return []
        return [
            f"value = event[{rule.field!r}]",
            f"if value is not None and not {test}: refuse({name}, {rule.field!r}, value, now)",
        ]
    if isinstance(rule, OneOf):
        scope[f"{name}_values"] = rule.values
        return [
            f"value = event[{rule.field!r}]",
            f"if value not in {name}_values and value is not None: refuse({name}, {rule.field!r}, value, now)",
        ]
    if isinstance(rule, EventTime):
        bounds = []
        if rule.max_age is not None:
            bounds.append(f"now - {_millis(rule.max_age)} <= time")
        if rule.max_ahead is not None:
            bounds.append(f"time <= now + {_millis(rule.max_ahead)}")
        return [f"if not ({' and '.join(bounds)}): refuse({name}, None, time, now)"] if bounds else []
    if isinstance(rule, Check):
        return [f"run({name}, shown)"]
    return []


def _refuse(rule: Rule, field: str | None, value: Any, now: int) -> NoReturn:
    if isinstance(rule, Required):
        raise DecodeError("required", f"field {field} is null; expected a value", field)
    if isinstance(rule, Range):
        low = "" if rule.low is None else f"{rule.low} <= "
        high = "" if rule.high is None else f" <= {rule.high}"
        raise DecodeError("range", f"field {field} is {value!r}; expected {low}{field}{high}", field)
    if isinstance(rule, OneOf):
        shown = ", ".join(sorted(map(repr, rule.values)))
        raise DecodeError("one_of", f"field {field} is {_short(value)}; expected one of {shown}", field)
    assert isinstance(rule, EventTime)
    if value > now:
        raise DecodeError(
            "event_time", f"the event time is {moment(value)}; expected at most {rule.max_ahead} after {moment(now)}"
        )
    raise DecodeError(
        "event_time", f"the event time is {moment(value)}; expected at most {rule.max_age} before {moment(now)}"
    )


def _run(rule: Check, event: Mapping[str, Any]) -> None:
    try:
        if rule.test(event):
            return
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of an extension written in Rust is no Exception
        raise DecodeError(f"check:{rule.name}", f"check {rule.name} raised {_said(error)}; expected true") from None
    raise DecodeError(f"check:{rule.name}", f"check {rule.name} is false; expected true")


def _said(error: BaseException) -> str:
    """One line that can be encoded, whatever a user's exception says, or fails to say."""
    name = type(error).__name__
    try:
        text = " ".join(f"{name}: {error}".split())
    except Exception:
        return name
    return text.encode("utf-8", "backslashreplace").decode()[:300]


def _millis(span: Any) -> int:
    return int(span.total_seconds() * 1000)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
