"""Detectors that cannot work, found before any connection. Law: one line each, with the fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from river.base import BinaryDriftDetector

from streamml.drift.build import build_detector
from streamml.drift.watch import Watch
from streamml.errors import DeclarationError, SnapshotError
from streamml.snapshots.seeds import unseeded
from streamml.topology import Detector, Feature, FeatureDrift, Regression, Target


def check_detector(detector: Detector, features: Sequence[Feature], target: Target | None = None) -> list[str]:
    """The problems of `detector`, empty if there are none. With `target` the kind of error that it is fed is checked
    too."""
    try:
        made = build_detector(detector)
    except DeclarationError as error:
        return [str(error)]
    if detector.build() is detector.build():
        return [f"detector {detector.name}: build() returns the same object each time; construct it inside build()"]
    found = list(_fed(detector, features, isinstance(made, BinaryDriftDetector), isinstance(target, Regression)))
    if detector.quiet < 1:
        found.append(f"quiet is {detector.quiet}; it must be at least 1 record")
    found += [f"{path} has no seed, and none can be set from outside; give it seed=" for path in unseeded(made)]
    return [f"detector {detector.name}: {problem}" for problem in found or _lives(detector)]


def _fed(detector: Detector, features: Sequence[Feature], binary: bool, regression: bool) -> Iterator[str]:
    if not isinstance(detector, FeatureDrift):
        if binary and regression:
            yield "it takes only 0 and 1, and the error of a regression is a number; use river.drift.ADWIN()"
        return
    types = {feature.name: feature.type for feature in features}
    kind = types.get(detector.feature)
    if kind is None:
        known = ", ".join(sorted(types))
        yield f"there is no feature {detector.feature!r}; watch one of those that the transform declares: {known}"
    elif kind == "string":
        yield f"the feature {detector.feature} is a string, and detectors take numbers; watch a numeric feature"
    elif kind != "boolean" and binary:
        yield f"it takes only 0 and 1, and the feature {detector.feature} is a {kind}; use river.drift.ADWIN()"


def _lives(detector: Detector) -> Iterator[str]:
    """A short life with made-up zeros and ones, over a snapshot."""
    watch, values = Watch(detector), [float(i % 3 == 0) for i in range(150)]
    try:
        watch.feed(values, 0)
        restored = Watch(detector)
        restored.loads(watch.dumps())
        restored.feed(values, 0)
    except SnapshotError as error:
        yield str(error)
    except Exception as error:
        yield f"it raises {type(error).__name__} when it is fed zeros and ones: {error}"
