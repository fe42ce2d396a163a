"""Mistakes in a declared detector: one line each, with the fix."""

from __future__ import annotations

from typing import Any

import pytest
from river import drift, linear_model
from river.base import DriftDetector

from streamml import Classification, ErrorDrift, Feature, FeatureDrift, Regression
from streamml.drift import check_detector
from streamml.topology import Detector

FEATURES = (Feature("price"), Feature("colour", "string"), Feature("open", "boolean"))
SHARED = drift.PageHinkley()


class SeedTakenForNothing(DriftDetector):
    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self.seed = None

    def update(self, x: float) -> None:
        pass


class Local(DriftDetector):
    def update(self, x: float) -> None:
        self.rule = lambda: x


def broken() -> Any:
    raise ValueError("no such file")


@pytest.mark.parametrize(
    "detector",
    [
        ErrorDrift("error", drift.ADWIN),
        ErrorDrift("error", drift.binary.DDM),
        ErrorDrift("error", drift.KSWIN),
        FeatureDrift("price", "price", drift.PageHinkley),
        FeatureDrift("open", "open", drift.binary.EDDM),
    ],
)
def test_nothing_is_wrong(detector: Detector) -> None:
    assert check_detector(detector, FEATURES) == []


@pytest.mark.parametrize(
    ("detector", "problem"),
    [
        (FeatureDrift("d", "prize", drift.ADWIN), "there is no feature 'prize'; watch one of those"),
        (FeatureDrift("d", "colour", drift.ADWIN), "the feature colour is a string"),
        (FeatureDrift("d", "price", drift.binary.DDM), "it takes only 0 and 1, and the feature price is a double"),
        (
            ErrorDrift("d", linear_model.LogisticRegression),
            "returns a LogisticRegression; it must return a River drift",
        ),
        (ErrorDrift("d", broken), "build() raises ValueError: no such file; it must return"),
        (ErrorDrift("d", lambda: SHARED), "returns the same object each time; construct it inside build()"),
        (ErrorDrift("d", drift.ADWIN, quiet=0), "quiet is 0; it must be at least 1 record"),
        (ErrorDrift("d", SeedTakenForNothing), "SeedTakenForNothing has no seed"),
        (ErrorDrift("d", Local), "cannot be pickled"),
    ],
)
def test_a_mistake_is_one_line_with_the_fix(detector: Detector, problem: str) -> None:
    found = check_detector(detector, FEATURES)
    assert len(found) == 1
    assert problem in found[0]
    assert found[0].startswith("detector d: ") or "detector d" in found[0]
    assert "\n" not in found[0]


def test_a_detector_of_bits_does_not_fit_the_error_of_a_regression() -> None:
    detector = ErrorDrift("d", drift.binary.DDM)
    assert "the error of a regression is a number" in check_detector(detector, FEATURES, Regression())[0]
    assert check_detector(detector, FEATURES, Classification("a", "b")) == []
