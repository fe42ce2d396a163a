"""From a declared detector to a River object. Law: the same declaration gives the same detector, random parts
included."""

from __future__ import annotations

from typing import Any

from river.base import BinaryDriftDetector, DriftDetector

from streamml.errors import DeclarationError
from streamml.snapshots import seeded
from streamml.topology import Detector


def build_detector(detector: Detector) -> Any:
    """A new River drift detector; where it draws random numbers and has no seed, it gets one derived from
    `detector.seed`.

    Raises:
        DeclarationError: the factory raises, or what it returns is no drift detector.
    """
    try:
        made = detector.build()
    except Exception as error:
        raise DeclarationError(
            f"detector {detector.name}: build() raises {type(error).__name__}: {error}; "
            "it must return a new River drift detector, such as river.drift.ADWIN()"
        ) from error
    if not isinstance(made, DriftDetector | BinaryDriftDetector):
        raise DeclarationError(
            f"detector {detector.name}: build() returns a {type(made).__name__}; "
            "it must return a River drift detector, such as river.drift.ADWIN()"
        )
    return seeded(made, detector.seed)
