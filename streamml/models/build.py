"""From a declared model to a seeded, untrained River estimator. Law: always by the factory, never by a copy."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import Any, NamedTuple

from river import base

from streamml.errors import DeclarationError
from streamml.snapshots.seeds import seeded
from streamml.snapshots.structure import structure
from streamml.topology import Classification, Model, Target

FOLD_FORMAT = 1
"""Version of how this package folds: seeds, label codes and order of features are part of it."""


class Built(NamedTuple):
    """A seeded, untrained River estimator and the digest of its specification."""

    river: Any
    digest: str


def build(model: Model, target: Target) -> Built:
    """A new estimator of `model`.

    Raises:
        DeclarationError: the factory raises, or makes what cannot predict this target.
    """
    try:
        made = model.build()
    except (Exception, SystemExit) as error:
        raise DeclarationError(
            f"model {model.name}: build() raises {type(error).__name__}: {error}; it must return a new River estimator"
        ) from error
    fault = wrong_kind(made, target)
    if fault:
        raise DeclarationError(f"model {model.name}: {fault}")
    return Built(seeded(made, model.seed), _digest(made, model.seed, target))


def digest_of(model: Model, target: Target) -> str:
    """The identity of a model's specification: 16 hexadecimal digits of SHA-256, the same in every process.

    It covers the fold's format, River's version, the target with its classes in order, the root seed, and the
    structure of what the factory makes. The model's name is not part of it.
    """
    return build(model, target).digest


def wrong_kind(made: Any, target: Target) -> str | None:
    """What is wrong with `made` as a model of `target`, with the fix; None if it is of the right kind."""
    wanted = base.Classifier if isinstance(target, Classification) else base.Regressor
    if isinstance(made, wanted):
        return None
    kind = type(made).__name__
    if isinstance(made, type):
        return f"build() returns the class {made.__name__}; return an estimator, {made.__name__}()"
    if isinstance(made, base.Classifier):
        return f"a {kind} that classifies cannot predict a number; use a regressor, or declare Classification(...)"
    if isinstance(made, base.Regressor):
        return f"a {kind} that predicts a number cannot predict classes; use a classifier, or declare Regression()"
    article = "a classifier" if wanted is base.Classifier else "a regressor"
    return (
        f"build() returns a {kind}, which is not {article}; return a River {article[2:]} or a pipeline that ends in one"
    )


def _digest(made: Any, seed: int, target: Target) -> str:
    specification = {
        "format": FOLD_FORMAT,
        "river": version("river"),
        "target": ["classes", *target.classes] if isinstance(target, Classification) else ["number"],
        "seed": seed,
        "model": structure(made),
    }
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
