"""Who watches: River drift detectors on the error of the served prediction and on features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class ErrorDrift:
    """`build()` returns a River drift detector; it is fed the error of each served prediction (0 or 1 for classes, the
    absolute error for regression), in the order of `examples`. `quiet` examples without a new detection close the
    episode."""

    name: str
    build: Callable[[], Any]
    seed: int = 0
    quiet: int = 1_000


@dataclass(frozen=True)
class FeatureDrift:
    """`build()` returns a River drift detector; it is fed the value of `feature` in each record of `features`.
    `quiet` records without a new detection close the episode."""

    name: str
    feature: str
    build: Callable[[], Any]
    seed: int = 0
    quiet: int = 1_000


Detector: TypeAlias = ErrorDrift | FeatureDrift
