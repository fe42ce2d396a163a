"""The figures of River alone on a real stream, met by folds to the last prediction. Labels come at once."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from river import linear_model, preprocessing, tree

from streamml.models import Fold
from streamml.topology import Classification, Model

ELEC2 = Path(__file__).resolve().parents[2] / "data" / "elec2.csv.gz"
UP_DOWN = Classification("DOWN", "UP")
HOEFFDING: Any = tree.HoeffdingTreeClassifier
ADAPTIVE: Any = tree.HoeffdingAdaptiveTreeClassifier


@cache
def elec2() -> list[tuple[dict[str, Any], str]]:
    rows: list[tuple[dict[str, Any], str]] = []
    with gzip.open(ELEC2, "rt") as file:
        for row in csv.DictReader(file):
            label = row.pop("class")
            del row["timestamp"]
            rows.append(({name: float(row[name]) for name in sorted(row)}, label))
    return rows


@pytest.mark.parametrize(
    ("build", "accuracy"),
    [
        (lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(), 82.23),
        (HOEFFDING, 77.99),
        (lambda: ADAPTIVE(seed=42), 83.04),
    ],
    ids=["logistic", "hoeffding", "adaptive hoeffding"],
)
def test_prequential_accuracy_on_elec2(build: Callable[[], Any], accuracy: float) -> None:
    fold = Fold.new(Model("m", build), UP_DOWN)
    answered = [(answer["label"], y) for x, y in elec2() if (answer := fold.test_then_learn(x, y))["label"] is not None]
    assert fold.position == 45_312
    assert round(100 * sum(label == y for label, y in answered) / len(answered), 2) == accuracy


def test_codes_of_classes_are_to_river_what_booleans_are() -> None:
    plain: Any = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    fold = Fold.new(Model("m", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression()), UP_DOWN)
    for x, y in elec2()[:5_000]:
        votes = plain.predict_proba_one(x)
        assert fold.test_then_learn(x, y)["probabilities"] == {"DOWN": votes[False], "UP": votes[True]}
        plain.learn_one(x, y == "UP")
