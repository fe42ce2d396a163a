"""Whether what is declared is of the declared types. Law: looked at before any value; one line names field and value.

A declaration is a Python file that nothing has type-checked: after this, the other checks may trust the types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from streamml.topology import (
    Alerts,
    Assume,
    Check,
    Classification,
    ErrorDrift,
    Events,
    EventTime,
    Feature,
    FeatureDrift,
    Feedback,
    Gate,
    Limits,
    MaxSize,
    Model,
    OneOf,
    Range,
    Regression,
    Required,
    Rollback,
    Serving,
    Slice,
    Snapshots,
    Topology,
    Transform,
)

_LONG = range(-(1 << 63), 1 << 63)
_SHOWN = 60


class _Shape(NamedTuple):
    """Which values a field takes, and how that is said."""

    fits: Callable[[Any], bool]
    expected: str


def _of(expected: str, *types: type) -> _Shape:
    return _Shape(lambda value: isinstance(value, types), expected)


def _word(*words: str) -> _Shape:
    return _Shape(lambda value: isinstance(value, str) and value in words, " or ".join(map(repr, words)))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TEXT = _of("a string", str)
_MAYBE_TEXT = _of("a string or None", str, type(None))
_COUNT = _Shape(_whole, "a whole number")
_FLAG = _of("True or False", bool)
_SPAN = _of("a timedelta, such as timedelta(days=1)", timedelta)
_MAYBE_SPAN = _of("a timedelta, such as timedelta(hours=1), or None", timedelta, type(None))
_REAL = _Shape(lambda value: is_number(value), "a finite number")
_MAYBE_COUNT = _Shape(lambda value: value is None or _whole(value), "a whole number or None")
_NUMBER = _Shape(lambda value: value is None or _whole(value) or isinstance(value, float), "a number or None")
_SCHEMA = _of("the name of a schema, a path, or the schema as a mapping", str, Path, Mapping)
_FORMAT = _word("avro", "json")
_POLICY = _word("drop", "quarantine")
_MISSING = _Shape(lambda value: isinstance(value, Assume) or _word("drop").fits(value), "'drop' or Assume(...)")
_FACTORY = _Shape(callable, "a function that returns a new River object")
_TEST = _Shape(callable, "a function from an event to True or False")

_FIELDS: Mapping[type, Mapping[str, _Shape]] = {
    Topology: {
        "name": _TEXT,
        "events": _of("Events(...)", Events),
        "transform": _of("Transform(...)", Transform),
        "target": _of("Classification(...) or Regression()", Classification, Regression),
        "feedback": _of("Feedback(...)", Feedback),
        "alerts": _of("Alerts(...)", Alerts),
        "serving": _of("Serving(...)", Serving),
        "snapshots": _of("Snapshots(...)", Snapshots),
        "gate": _of("Gate(...) or None", Gate, type(None)),
        "window": _COUNT,
        "partitions": _COUNT,
    },
    Events: {"schema": _SCHEMA, "id": _TEXT, "time": _TEXT, "entity": _MAYBE_TEXT, "format": _FORMAT},
    Feedback: {
        "schema": _SCHEMA,
        "id": _TEXT,
        "label": _TEXT,
        "time": _MAYBE_TEXT,
        "format": _FORMAT,
        "horizon": _SPAN,
        "grace": _SPAN,
        "late": _POLICY,
        "doubled": _POLICY,
        "orphan": _POLICY,
        "missing": _MISSING,
        "idle": _SPAN,
    },
    Alerts: {"quarantine_rate": _NUMBER, "degradation": _FLAG, "window": _COUNT},
    Serving: {"max_staleness": _COUNT},
    Snapshots: {"every": _COUNT, "interval": _SPAN},
    Feature: {"name": _TEXT, "type": _word("double", "long", "string", "boolean"), "optional": _FLAG},
    Gate: {
        "alpha": _REAL,
        "minimum": _COUNT,
        "effect": _REAL,
        "metric": _word("loss", "roc_auc"),
        "bound": _NUMBER,
        "cooldown": _COUNT,
        "limits": _of("Limits(...)", Limits),
        "rollback": _of("Rollback(...) or None", Rollback, type(None)),
    },
    Slice: {"field": _TEXT, "harm": _REAL, "minimum": _COUNT},
    Limits: {"latency": _NUMBER, "size": _MAYBE_COUNT},
    Rollback: {"minimum": _COUNT},
    Model: {"name": _TEXT, "build": _FACTORY, "seed": _COUNT, "shadow": _FLAG},
    ErrorDrift: {"name": _TEXT, "build": _FACTORY, "seed": _COUNT, "quiet": _COUNT},
    FeatureDrift: {"name": _TEXT, "feature": _TEXT, "build": _FACTORY, "seed": _COUNT, "quiet": _COUNT},
    Required: {},
    Range: {"field": _TEXT, "low": _NUMBER, "high": _NUMBER},
    OneOf: {"field": _TEXT},
    EventTime: {"max_age": _MAYBE_SPAN, "max_ahead": _MAYBE_SPAN},
    MaxSize: {"bytes": _COUNT},
    Check: {"name": _TEXT, "test": _TEST},
}
_RULE = _of("Required, Range, OneOf, EventTime, MaxSize or Check", Required, Range, OneOf, EventTime, MaxSize, Check)


def check_shapes(topology: Topology) -> list[str]:
    """The fields of `topology` that are of a wrong type, one line each; empty if there are none."""
    return [*_fields("", topology), *_items(topology), *_target(topology.target)]


def _fields(path: str, part: object) -> Iterator[str]:
    """What is wrong in `part` and, below it, in the parts that are of the right class themselves."""
    shapes = next((shapes for cls, shapes in _FIELDS.items() if isinstance(part, cls)), {})
    for name, (fits, expected) in shapes.items():
        value = getattr(part, name)
        if not fits(value):
            yield _line(f"{path}{name}", value, expected)
        else:
            yield from _fields(f"{path}{name}.", value)


def _items(topology: Topology) -> Iterator[str]:
    for number, model in enumerate(topology.models):
        yield from _item(f"models[{number}]", model, _of("Model(...)", Model))
    for number, detector in enumerate(topology.detectors):
        yield from _item(
            f"detectors[{number}]", detector, _of("ErrorDrift(...) or FeatureDrift(...)", ErrorDrift, FeatureDrift)
        )
    for number, rule in enumerate(topology.rules):
        yield from _item(f"rules[{number}]", rule, _RULE)
        if isinstance(rule, Required):
            for place, field in enumerate(rule.fields):
                yield from _item(f"rules[{number}].fields[{place}]", field, _TEXT)
    if topology.gate is not None:
        for number, part in enumerate(topology.gate.slices):
            yield from _item(f"gate.slices[{number}]", part, _of("Slice(...)", Slice))
    if isinstance(topology.transform, Transform):
        for number, feature in enumerate(topology.transform.features):
            yield from _fields(f"transform.features[{number}].", feature)


def _item(path: str, value: object, shape: _Shape) -> Iterator[str]:
    if not shape.fits(value):
        yield _line(path, value, shape.expected)
    else:
        yield from _fields(f"{path}.", value)


def _target(target: object) -> Iterator[str]:
    if not isinstance(target, Classification):
        return
    values: tuple[Any, ...] = target.classes
    for number, value in enumerate(values):
        if not isinstance(value, str | int):
            yield _line(f"target.classes[{number}]", value, "a string, a whole number or a boolean")
        elif isinstance(value, int) and value not in _LONG:
            yield _line(f"target.classes[{number}]", value, "an Avro long: at least -2**63 and below 2**63")


def is_number(value: object) -> bool:
    """Whether `value` can be the label of a regression: a finite number, which a boolean is not."""
    return _whole(value) or (isinstance(value, float) and isfinite(value))


def _line(path: str, value: object, expected: str) -> str:
    return f"{path} is {shown(value)}; it must be {expected}"


def shown(value: object) -> str:
    """A value and its type, shortened: what came where something else was expected."""
    kind = type(value).__name__
    kind = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # A `__repr__` of the user's own, or an integer with more digits than Python writes.
        return kind
    text = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
    return text if value is None else f"{text} ({kind})"
