"""Elec2 in its own order, with River's logistic regression as the model."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import pytest
from river import linear_model, preprocessing

Row = tuple[dict[str, float], str, dict[str, Any]]
DATA = Path(__file__).resolve().parents[2] / "data" / "elec2.csv.gz"


@pytest.fixture(scope="session")
def elec2() -> list[Row]:
    """(features, label, what the model said before it learned it), 45,312 times."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    rows: list[Row] = []
    with gzip.open(DATA, "rt") as file:
        for fields in csv.DictReader(file):
            label = fields.pop("class")
            del fields["timestamp"]
            x = {name: float(fields[name]) for name in sorted(fields)}
            chance = model.predict_proba_one(x).get(True, 0.0)
            model.learn_one(x, label == "UP")
            said = "UP" if chance > 0.5 else "DOWN"
            rows.append((x, label, {"label": said, "probabilities": {"DOWN": 1 - chance, "UP": chance}}))
    return rows
