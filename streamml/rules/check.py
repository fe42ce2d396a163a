"""Mistakes in what a topology says about its events and feedback. Law: each is one line: the fact, what was expected,
the fix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from math import isnan
from pathlib import Path
from typing import Any

from streamml.errors import SchemaError
from streamml.schemas import Kinds, field_kinds, load_schema
from streamml.topology import (
    Check,
    Classification,
    EventTime,
    MaxSize,
    OneOf,
    Range,
    Required,
    Target,
    Topology,
)

_ID = {"string", "int", "long"}
_TIME = {"long"}
_NUMBERS = {"int", "long", "float", "double"}
_ONE_OF: dict[str, type] = {"string": str, "enum": str, "int": int, "long": int, "boolean": bool}
_CHECK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_events(topology: Topology, near: Path | None = None) -> list[str]:
    """The problems of `topology.events`, `feedback` and `rules`; empty if there are none. `near`: see
    `load_schema`."""
    problems: list[str] = []
    events, feedback = topology.events, topology.feedback
    for what, source in (("events", events), ("feedback", feedback)):
        if source.format not in ("avro", "json"):
            problems.append(f"{what}: format {source.format!r} is unknown; give 'avro' or 'json'")
        try:
            kinds = field_kinds(load_schema(source.schema, near))
        except SchemaError as error:
            problems.append(f"{what}: {error}")
            continue
        if what == "events":
            problems += _field("events: id", events.id, kinds, _ID, "a string, an int or a long")
            problems += _time("events", events.time, kinds)
            if events.entity is not None:
                problems += _field("events: entity", events.entity, kinds, _ID, "a string, an int or a long")
            problems += _rules(topology.rules, kinds)
        else:
            problems += _field("feedback: id", feedback.id, kinds, _ID, "a string, an int or a long")
            expected, words = _label_kinds(topology.target)
            problems += _field("feedback: label", feedback.label, kinds, expected, words)
            if feedback.time is not None:
                problems += _time("feedback", feedback.time, kinds)
    return problems


def _field(what: str, name: str, kinds: Mapping[str, Kinds], expected: Collection[str], words: str) -> list[str]:
    """The field must be there, and be of one of the `expected` kinds, null aside."""
    found = kinds.get(name)
    if found is None:
        return [_unknown(what, name, kinds)]
    if not found.types or not all(kind in expected for kind in found.types):
        is_a = " or ".join(found.types) or "null"
        return [f"{what}: field {name} is {is_a}; it must be {words}: name another field, or change the schema"]
    return []


def _unknown(what: str, name: str, kinds: Mapping[str, Kinds]) -> str:
    near = get_close_matches(name, kinds, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(kinds)}"
    return f"{what}: field {name} is not in the schema; {hint}"


def _time(what: str, name: str, kinds: Mapping[str, Kinds]) -> list[str]:
    return _field(f"{what}: time", name, kinds, _TIME, "a long in milliseconds, or a long with logicalType timestamp-…")


def _label_kinds(target: Target) -> tuple[set[str], str]:
    if not isinstance(target, Classification):
        return _NUMBERS, "a number, as the target is a regression"
    types = {type(value) for value in target.classes}
    kinds = {kind for kind, python in _ONE_OF.items() if python in types}
    return kinds, f"{' or '.join(sorted(kinds)) or 'of one type'}, as the classes are"


def _rules(rules: Sequence[object], kinds: Mapping[str, Kinds]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, Required):
            if not rule.fields:
                yield "rules: Required() names no field; name those that must not be null"
            yield from (_unknown("rules: Required", name, kinds) for name in rule.fields if name not in kinds)
        elif isinstance(rule, Range):
            yield from _range(rule, kinds)
        elif isinstance(rule, OneOf):
            yield from _one_of(rule, kinds)
        elif isinstance(rule, EventTime):
            for side, span in (("max_age", rule.max_age), ("max_ahead", rule.max_ahead)):
                if span is not None and (not isinstance(span, timedelta) or span < timedelta(0)):
                    yield f"rules: EventTime {side} is {span!r}; give a timedelta that is not negative"
        elif isinstance(rule, MaxSize):
            if type(rule.bytes) is not int or rule.bytes < 1:
                yield f"rules: MaxSize is {rule.bytes!r}; give a number of bytes, at least 1"
        elif isinstance(rule, Check):
            test: object = rule.test
            if not callable(test):
                yield f"rules: the test of Check {rule.name!r} is a {type(test).__name__}; give a function"
            if not isinstance(rule.name, str) or not _CHECK_NAME.fullmatch(rule.name):
                yield f"rules: Check name {rule.name!r} cannot be used; use up to 64 letters, digits, '.', '_' and '-'"
        else:
            yield f"rules: {rule!r} is no rule; use Required, Range, OneOf, EventTime, MaxSize or Check"
    for name, count in Counter(rule.name for rule in rules if isinstance(rule, Check)).items():
        if count > 1:
            yield f"rules: {count} checks are named {name!r}; rename all but one"
    for kind in (EventTime, MaxSize):
        if sum(isinstance(rule, kind) for rule in rules) > 1:
            yield f"rules: {kind.__name__} is declared twice; once is enough"


def _range(rule: Range, kinds: Mapping[str, Kinds]) -> Iterator[str]:
    what = f"rules: Range({rule.field!r})"
    yield from _field("rules: Range", rule.field, kinds, _NUMBERS, "a number")
    bounds: list[Any] = [bound for bound in (rule.low, rule.high) if bound is not None]
    if not bounds:
        yield f"{what} has no bound; give low, high or both"
    elif any(isinstance(b, bool) or not isinstance(b, int | float) or isnan(b) for b in bounds):
        yield f"{what} has the bounds {rule.low!r} and {rule.high!r}; each must be a number"
    elif len(bounds) == 2 and bounds[0] > bounds[1]:
        yield f"{what} has low {rule.low!r} above high {rule.high!r}, so no event passes; exchange them"


def _one_of(rule: OneOf, kinds: Mapping[str, Kinds]) -> Iterator[str]:
    what = f"rules: OneOf({rule.field!r})"
    if not rule.values:
        yield f"{what} has no values, so no event passes; give those that are allowed"
    problems = _field("rules: OneOf", rule.field, kinds, _ONE_OF, "a string, an enum, an integer or a boolean")
    yield from problems
    if problems:
        return
    found = kinds[rule.field]
    allowed = {_ONE_OF[kind] for kind in found.types}
    for value in sorted(rule.values, key=repr):
        if type(value) not in allowed:
            yield f"{what} has {value!r}, but the field is {' or '.join(found.types)}; give values of that type"
        elif found.symbols is not None and isinstance(value, str) and value not in found.symbols:
            yield f"{what} has {value!r}, which is no symbol of the enum; it has {', '.join(found.symbols)}"
