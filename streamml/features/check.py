"""Mistakes in a transform, found before any connection. Law: one line each, with the fix."""

from __future__ import annotations

import contextlib
import copy
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from river import base
from river.base import Base
from river.compose import Grouper

from streamml.errors import DecodeError, SnapshotError
from streamml.features.synthetic import synthetic_events
from streamml.features.transformer import Transformer
from streamml.snapshots import dumps, seeded
from streamml.snapshots.structure import steps_of
from streamml.topology import Transform

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FROM_AVRO = {
    "double": ("int", "long", "float", "double"),
    "long": ("int", "long"),
    "string": ("string", "enum"),
    "boolean": ("boolean",),
}


def check_transform(transform: Transform, event_schema: Mapping[str, Any]) -> list[str]:
    """The problems of `transform` for events of the Avro record `event_schema`; empty if there are none."""
    problems = _check_names(transform)
    if problems:
        return problems
    using = transform.using
    if using is None:
        return _check_fields(transform, event_schema)
    if isinstance(using, Base):
        problems = [f"transform: {problem}" for problem in _stateful(using, type(using).__name__)]
    elif not callable(using):
        problems = [f"transform: using is a {type(using).__name__}; give a function or a River transformer"]
    elif isinstance(using, type):
        problems = [f"transform: using is the class {using.__name__}; give an instance, {using.__name__}()"]
    return problems or _check_behaviour(transform, event_schema)


def _check_names(transform: Transform) -> list[str]:
    if not transform.features:
        return ["transform: no features; name those that the model may see"]
    counts = Counter(feature.name for feature in transform.features)
    doubled = [f"transform: feature {name} is declared twice; once is enough" for name, n in counts.items() if n > 1]
    unnamed = [
        f"transform: {name!r} is no name for a feature; use letters, digits and underscores, as Avro does"
        for name in counts
        if not _NAME.fullmatch(name)
    ]
    return doubled + unnamed


def _check_fields(transform: Transform, event_schema: Mapping[str, Any]) -> list[str]:
    named: dict[str, Any] = {}
    kinds = {field["name"]: _kinds(field["type"], named) for field in event_schema["fields"]}
    problems = []
    for feature in transform.features:
        found = kinds.get(feature.name)
        if found is None:
            problems.append(
                f"transform: feature {feature.name} is not a field of the event ({', '.join(kinds)}); "
                "name a field, or give the transform a function with using="
            )
        elif not any(kind in _FROM_AVRO[feature.type] for kind in found):
            wanted = _fitting(found)
            fix = f"declare Feature({feature.name!r}, {wanted!r})" if wanted else "convert it in a function with using="
            problems.append(
                f"transform: feature {feature.name} is a {feature.type}, its field is {' or '.join(found)}; {fix}"
            )
    return problems


def _kinds(avro: Any, named: dict[str, Any]) -> list[str]:
    """The Avro types of a field, null left out. `named` gathers the types that later fields may refer to."""
    found = []
    for kind in avro if isinstance(avro, list) else [avro]:
        if isinstance(kind, Mapping) and "name" in kind:
            named[kind["name"]] = named[f"{kind.get('namespace', '')}.{kind['name']}"] = kind["type"]
        name = kind["type"] if isinstance(kind, Mapping) else kind
        found.append(named.get(name, name) if isinstance(name, str) else "record")
    return [name for name in found if name != "null"]


def _fitting(found: list[str]) -> str | None:
    return next((type_ for type_, avro in _FROM_AVRO.items() if any(kind in avro for kind in found)), None)


def _stateful(part: Any, path: str) -> list[str]:
    steps = steps_of(part)
    if steps is not None:
        return [problem for name, step in steps.items() for problem in _stateful(step, f"{path}.{name}")]
    move = "put it into the model, in front of the estimator"
    if not isinstance(part, base.Transformer):
        return [f"{path} is not a transformer; {move}"]
    if isinstance(part, Grouper) or type(part).learn_one is not base.Transformer.learn_one:
        return [f"{path} learns, and a transform keeps no state; {move}"]
    return []


def _check_behaviour(transform: Transform, event_schema: Mapping[str, Any]) -> list[str]:
    """Run the transform on made-up events, twice and in another order."""
    if isinstance(transform.using, Base):
        transform = Transform(*transform.features, using=seeded(transform.using, 0))
    transformer = Transformer(transform, [field["name"] for field in event_schema["fields"]])
    events = synthetic_events(event_schema)
    untouched = copy.deepcopy(events)
    before = _state(transform.using)
    first = [_outcome(transformer.values, event) for event in events]
    again = [_outcome(transformer.values, event) for event in reversed(events)][::-1]
    errors = [outcome for outcome in first if isinstance(outcome, DecodeError)]
    if len(errors) == len(events):
        return [f"transform: {errors[0]} (on an event made up from the schema); correct the function or the features"]
    if [_comparable(outcome) for outcome in first] != [_comparable(outcome) for outcome in again]:
        return ["transform: the same event gave other features the second time; it must depend on the event alone"]
    if events != untouched:
        return ["transform: it changes the event that it is given; make a new mapping"]
    if _state(transform.using) != before:
        return ["transform: it keeps state; put the part that does so into the model, in front of the estimator"]
    return []


def _state(part: Any) -> list[bytes]:
    """The bytes of each River transformer, to see whether transforming changes it. Pipelines only cache their plan."""
    steps = steps_of(part)
    if steps is not None:
        return [state for step in steps.values() for state in _state(step)]
    with contextlib.suppress(SnapshotError):
        return [dumps(part)] if isinstance(part, Base) else []
    return []


def _outcome(values: Callable[[Mapping[str, Any]], dict[str, Any]], event: Mapping[str, Any]) -> Any:
    try:
        return values(event)
    except DecodeError as error:
        return error


def _comparable(outcome: Any) -> Any:
    return str(outcome) if isinstance(outcome, DecodeError) else outcome
