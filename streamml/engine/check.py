"""Finding the mistakes of a declaration before anything is opened. Law: each problem is one line that says the fix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from math import inf

from streamml.drift import check_detector
from streamml.engine.catalog import feature_fields, label_type, schemas_of
from streamml.engine.shapes import check_shapes, is_number
from streamml.errors import StreammlError
from streamml.features import check_transform
from streamml.models import check_model
from streamml.rules import check_events
from streamml.topology import Assume, Classification, Gate, Topology

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = ("served", "serving", "snapshots")
"""Beside the models, whose series of metrics they stand next to."""
_THRESHOLDS = ("staleness", "quarantine_rate", "degradation", "snapshots")
"""The alerts that need no detector."""
_DRIFT = "drift"
"""The kind of the alerts of detectors; of all others the kind is the name."""


def check(topology: Topology) -> list[str]:
    """All problems of `topology`, one line each; an empty list means that it can be run."""
    problems = _guarded("the topology", partial(check_shapes, topology))
    if problems:
        return problems
    problems = [
        *_guarded("the topology", partial(_names, topology)),
        *_guarded("the target", partial(_target, topology)),
        *_guarded("the topology", partial(_numbers, topology)),
        *_guarded("the gate", partial(_gate, topology)),
        *_guarded("events, feedback and rules", partial(check_events, topology)),
    ]
    if problems:
        return problems
    problems = _guarded("the schemas", partial(_schemas, topology))
    if problems:
        return problems
    target, transform = topology.target, topology.transform
    problems += _guarded("transform", lambda: check_transform(transform, schemas_of(topology)["events"]))
    for model in topology.models:
        problems += _guarded(f"model {model.name}", partial(check_model, model, target, transform.features))
    for detector in topology.detectors:
        problems += _guarded(f"detector {detector.name}", partial(check_detector, detector, transform.features, target))
    return problems


def _guarded(what: str, problems: Callable[[], Iterable[str]]) -> list[str]:
    """What a check finds. It runs the user's code, and what that throws at it is a problem too, never a trace."""
    try:
        return list(problems())
    except KeyboardInterrupt:
        raise
    except StreammlError as error:
        return [str(error)]
    except BaseException as error:  # Also sys.exit(), and a panic of an extension written in Rust: no Exceptions.
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        return [f"{what} cannot be checked, it raises {said}; compare its declaration with docs/concepts.md"]


def _schemas(topology: Topology) -> list[str]:
    schemas_of(topology), label_type(topology.target), feature_fields(topology)
    return []


def _names(topology: Topology) -> Iterator[str]:
    if not _NAME.fullmatch(topology.name):
        yield f"the topology's name {topology.name!r} cannot begin a topic's name; use letters, digits, '.', '_' or '-'"
    if not topology.models:
        yield "the topology declares no model; give it at least one Model"
    for kind, names in (
        ("models", [m.name for m in topology.models]),
        ("detectors", [d.name for d in topology.detectors]),
        ("features", [f.name for f in topology.transform.features]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{count} {kind} are named {name!r}; rename all but one"
    for kind, taken, names in (
        ("model", _OURS, [m.name for m in topology.models]),
        ("detector", _THRESHOLDS, [d.name for d in topology.detectors]),
    ):
        for name in names:
            if name in taken:
                yield f"the {kind} name {name!r} is one of our own ({', '.join(taken)}); take another"
            elif not _NAME.fullmatch(name):
                yield f"the {kind} name {name!r} cannot be used; take up to 100 letters, digits, '.', '_' and '-'"
    if not topology.transform.features:
        yield "the transform declares no feature; name at least one"
    for feature in topology.transform.features:
        if not _FIELD.fullmatch(feature.name):
            yield f"the feature name {feature.name!r} is no Avro name; use letters, digits and '_'"


def _target(topology: Topology) -> Iterator[str]:
    target, missing = topology.target, topology.feedback.missing
    if isinstance(target, Classification):
        if len(set(target.classes)) != len(target.classes) or len(target.classes) < 2:
            yield f"the classes {target.classes} must be at least two different values"
        if isinstance(missing, Assume) and (type(missing.value), missing.value) not in [
            (type(value), value) for value in target.classes
        ]:
            yield f"Assume({missing.value!r}) is none of the classes {target.classes}; assume one of them"
    elif isinstance(missing, Assume) and not is_number(missing.value):
        yield f"Assume({missing.value!r}) is not a finite number, as the label of a regression must be"


def _numbers(topology: Topology) -> Iterator[str]:
    for name, value, least in (
        ("partitions", topology.partitions, 1),
        ("window", topology.window, 2),
        ("snapshots.every", topology.snapshots.every, 1),
        ("serving.max_staleness", topology.serving.max_staleness, 0),
        ("alerts.window", topology.alerts.window, 1),
    ):
        if value < least:
            yield f"{name} is {value}; it must be at least {least}"
    rate = topology.alerts.quarantine_rate
    if rate is not None and not 0 < rate <= 1:
        yield f"alerts.quarantine_rate is {rate}; it is a share, above 0 and at most 1"
    feedback = topology.feedback
    for name, span, positive in (
        ("feedback.horizon", feedback.horizon, True),
        ("feedback.grace", feedback.grace, False),
        ("feedback.idle", feedback.idle, True),
        ("snapshots.interval", topology.snapshots.interval, True),
    ):
        if span < timedelta(0) or (positive and not span):
            yield f"{name} is {span}; it must be {'above' if positive else 'at least'} zero"


def _gate(topology: Topology) -> Iterator[str]:
    gate, target = topology.gate, topology.target
    if gate is None:
        return
    classes = target.classes if isinstance(target, Classification) else ()
    if not 0 < gate.alpha < 1:
        yield f"gate.alpha is {gate.alpha}; it is the chance of a false promotion, above 0 and below 1: 0.05 is usual"
    if gate.metric == "roc_auc" and len(classes) != 2:
        found = f"{len(classes)} are declared" if classes else "a regression has none"
        yield f"gate.metric 'roc_auc' is for two classes, {found}; take 'loss'"
    yield from _bound(gate, bool(classes))
    for name, value, least in (
        ("gate.minimum", gate.minimum, 1),
        ("gate.cooldown", gate.cooldown, 0),
        *((f"gate.slices[{n}].harm", part.harm, 0) for n, part in enumerate(gate.slices)),
        *((f"gate.slices[{n}].minimum", part.minimum, 1) for n, part in enumerate(gate.slices)),
    ):
        if value < least:
            yield f"{name} is {value}; it must be at least {least}"
    for name, limit in (("gate.limits.latency", gate.limits.latency), ("gate.limits.size", gate.limits.size)):
        if limit is not None and not 0 < limit < inf:
            yield f"{name} is {limit}; it must be a finite number above zero, or None for no limit"
    features = [feature.name for feature in topology.transform.features]
    for field, count in Counter(part.field for part in gate.slices).items():
        if count > 1:
            yield f"{count} slices of the gate are of the feature {field!r}; keep one of them"
        if field not in features:
            yield f"gate.slices: no feature {field!r} is declared; choose one of {', '.join(map(repr, features))}"
    yield from _rollback(topology, gate)


def _bound(gate: Gate, classes: bool) -> Iterator[str]:
    """What is wrong with the unit of the losses, and with an effect in it."""
    if classes and gate.bound is not None:
        yield f"gate.bound is {gate.bound}; the loss of a class is 0 or 1 anyway, leave it out"
    elif not classes and gate.metric == "loss" and gate.bound is None:
        yield "gate.bound is None; a regression needs the error from which on all errors count the same: give it one"
    elif gate.bound is not None and not 0 < gate.bound < inf:
        yield f"gate.bound is {gate.bound}; it is the error from which on all errors count the same: above zero, finite"
    else:
        greatest = 1 if gate.bound is None else gate.bound
        if not 0 <= gate.effect < greatest:
            yield f"gate.effect is {gate.effect}; it must be at least 0 and below {greatest}, the greatest gain"


def _rollback(topology: Topology, gate: Gate) -> Iterator[str]:
    if (rollback := gate.rollback) is None:
        return
    if rollback.minimum < 1:
        yield f"gate.rollback.minimum is {rollback.minimum}; it must be at least 1"
    known = (_DRIFT, *_THRESHOLDS)
    unknown = [kind for kind in rollback.on if kind not in known]
    if (word := "".join(map(str, unknown))) in known:
        yield f"gate.rollback.on is the text {word!r}; write on=({word!r},)"
        return
    for kind in unknown:
        yield f"gate.rollback.on has {kind!r}; the kinds of alerts are {', '.join(known)}"
    never = {
        _DRIFT: not topology.detectors,
        "degradation": not topology.alerts.degradation,
        "quarantine_rate": topology.alerts.quarantine_rate is None,
    }
    if not unknown and all(never.get(kind, False) for kind in rollback.on):
        waited = " or ".join(rollback.on) or "no alert at all"
        yield f"gate.rollback.on waits for {waited}, which never comes here; name a kind that is alerted"
