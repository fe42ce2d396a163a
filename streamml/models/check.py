"""Models that cannot keep the law of a fold, found before any connection. Law: each in one line with the fix."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Any

from river.base import Base

from streamml.errors import DeclarationError
from streamml.models.build import wrong_kind
from streamml.models.probe import probe
from streamml.models.refused import REFUSED, Refusal
from streamml.snapshots.allowed import class_path
from streamml.snapshots.reachable import reachable
from streamml.snapshots.seeds import seeded, unseeded
from streamml.topology import Classification, Feature, Model, Target


def check_model(model: Model, target: Target, features: Sequence[Feature]) -> list[str]:
    """The problems of `model`, each with its fix; empty if there are none.

    First what is known of its parts, then, if that is all right, what it does with a few hundred made-up rows. Takes
    some hundredths of a second, and up to seconds for large ensembles.
    """
    return [f"model {model.name}: {problem}" for problem in _problems(model, target, features)]


def _problems(model: Model, target: Target, features: Sequence[Feature]) -> list[str]:
    try:
        made, again = model.build(), model.build()
    except (Exception, SystemExit) as error:
        return [f"build() raises {type(error).__name__}: {error}; it must return a new River estimator"]
    fault = wrong_kind(made, target) or _too_many_classes(made, target)
    if fault:
        return [fault]
    found = [*_shared(made, again), *_refused_parts(made), *_lambdas(made)]
    if found:
        return found
    fresh = seeded(made, model.seed)
    found = [f"{path} has no seed, and none can be set from outside; give it seed=" for path in unseeded(fresh)]
    if found:
        return found
    try:
        problem = probe(model, target, features)
    except DeclarationError as error:
        return [str(error).removeprefix(f"model {model.name}: ")]
    return [problem] if problem else []


def _too_many_classes(made: Any, target: Target) -> str | None:
    if not isinstance(target, Classification) or len(target.classes) <= 2 or made._multiclass:
        return None
    name = type(getattr(made, "_last_step", made)).__name__
    return (
        f"{name} tells two classes apart, and {len(target.classes)} are declared; "
        f"use multiclass.OneVsRestClassifier({name}(...))"
    )


def _shared(made: Any, again: Any) -> Iterator[str]:
    """Parts that two builds have in common: a model that is not new may be trained, and its copies train each other."""
    if made is again:
        yield "build() returns the same object each time; construct the estimator inside build()"
        return
    first = {id(part): path for path, part in reachable(made) if isinstance(part, Base)}
    common = [path for _, part in reachable(again) if (path := first.get(id(part))) is not None]
    for path in common:
        if not any(path != other and path.startswith(other) for other in common):
            yield f"{path} is the same object in two builds; construct it inside build()"


def _refused_parts(made: Any) -> Iterator[str]:
    parts = [(path, part, type(part)) for path, part in reachable(made)]
    for refusal in REFUSED:
        holders = [path for path, _, cls in parts if refusal.inside and _is_a(cls, refusal.inside)]
        for path, _, cls in parts:
            held = refusal.inside is None or any(path.startswith(holder) for holder in holders)
            if held and _is_a(cls, refusal.part):
                yield _line(path, cls, refusal)
                break


def _line(path: str, cls: type, refusal: Refusal) -> str:
    where = f"in {refusal.inside.partition(':')[2]}: " if refusal.inside else ""
    place = path if path.endswith(cls.__name__) else f"{path} ({cls.__name__})"
    return f"{place} cannot be reproduced from the log, {where}{refusal.reason}; {refusal.fix}"


def _is_a(cls: type, path: str) -> bool:
    return any(class_path(parent) == path for parent in cls.__mro__)


def _lambdas(made: Any) -> Iterator[str]:
    for path, part in reachable(made):
        if isinstance(part, types.FunctionType) and "<" in part.__qualname__:
            yield f"{path} is {part.__qualname__}, which no snapshot can hold; use a function at the top of a module"
