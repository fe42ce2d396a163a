"""Validation rules of events, beyond what the schema says by itself. The agent `validate` applies them in this
order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Required:
    """The nullable fields `fields` must not be null."""

    fields: tuple[str, ...]

    def __init__(self, *fields: str) -> None:
        object.__setattr__(self, "fields", fields)


@dataclass(frozen=True)
class Range:
    """The numeric `field` lies in [low, high]; None leaves that side open. A null value passes: see `Required`."""

    field: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class OneOf:
    """The value of `field` is one of `values`. A null value passes: see `Required`."""

    field: str
    values: frozenset[str | int | bool]

    def __init__(self, field: str, *values: str | int | bool) -> None:
        object.__setattr__(self, "field", field)
        object.__setattr__(self, "values", frozenset(values))


@dataclass(frozen=True)
class EventTime:
    """The event time is at most `max_age` before and at most `max_ahead` after the time at which it is validated; the
    same `max_ahead` bounds the time of a label. Without this rule `EventTime()` holds; None leaves a side open."""

    max_age: timedelta | None = None
    max_ahead: timedelta | None = timedelta(hours=1)


@dataclass(frozen=True)
class MaxSize:
    """A record's value has at most `bytes` bytes. Without this rule the bound is 1 MiB."""

    bytes: int = 1 << 20


@dataclass(frozen=True)
class Check:
    """A rule of the user's own: `test(event)` is true for a good event, given the canonical event.

    A test that raises refuses the event too, and the quarantine says what it raised.
    """

    name: str
    test: Callable[[Mapping[str, Any]], bool]


Rule: TypeAlias = Required | Range | OneOf | EventTime | MaxSize | Check
