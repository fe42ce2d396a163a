"""What is predicted, and the models that learn to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Classification:
    """The label is one of `classes`, all strings, all integers or all booleans. Their order is the order in which
    models see them (as 0, 1, …): it is part of a model's identity."""

    classes: tuple[str | int | bool, ...]

    def __init__(self, *classes: str | int | bool) -> None:
        object.__setattr__(self, "classes", classes)


@dataclass(frozen=True)
class Regression:
    """The label is a finite number."""


Target: TypeAlias = Classification | Regression


@dataclass(frozen=True)
class Model:
    """A model by its factory: `build()` returns a new, untrained River estimator each time it is called.

    `seed` is the root from which the seed of every stochastic part is derived, by the part's path in the pipeline.
    `shadow`: while it is not the champion, what it would have said goes into each prediction too, and its results as
    served, label delay and all, into `metrics`.
    """

    name: str
    build: Callable[[], Any]
    seed: int = 0
    shadow: bool = False
