"""Finding the mistakes of a declaration before anything is opened. Law: each problem is one line that says the fix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from streamml.drift import check_detector
from streamml.engine.catalog import feature_fields, label_type, schemas_of
from streamml.errors import StreammlError
from streamml.features import check_transform
from streamml.models import check_model
from streamml.rules import check_events
from streamml.topology import Assume, Classification, Topology

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(topology: Topology) -> list[str]:
    """All problems of `topology`, one line each; an empty list means that it can be run."""
    problems = [*_names(topology), *_target(topology), *_numbers(topology)]
    problems += check_events(topology)
    if problems:
        return problems
    try:
        schemas = schemas_of(topology)
        label_type(topology.target), feature_fields(topology)
    except StreammlError as error:
        return [str(error)]
    problems += check_transform(topology.transform, schemas["events"])
    for model in topology.models:
        problems += check_model(model, topology.target, topology.transform.features)
    for detector in topology.detectors:
        problems += check_detector(detector, topology.transform.features, topology.target)
    return problems


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
    for model in topology.models:
        if not _NAME.fullmatch(model.name) or model.name == "served":
            yield f"the model name {model.name!r} cannot be used; take letters, digits, '.', '_', '-', and not 'served'"
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
        if isinstance(missing, Assume) and missing.value not in target.classes:
            yield f"Assume({missing.value!r}) is none of the classes {target.classes}; assume one of them"
    elif isinstance(missing, Assume) and (
        isinstance(missing.value, bool) or not isinstance(missing.value, int | float)
    ):
        yield f"Assume({missing.value!r}) is not a number, as the label of a regression must be"


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
