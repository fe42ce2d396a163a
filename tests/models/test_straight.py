"""A pipeline that is run straight through is River's, call by call."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import anomaly, compose, feature_extraction, linear_model, naive_bayes, preprocessing, stats, tree
from river.base import Transformer

from streamml.models.straight import Straight, straight


class Supervised(Transformer):
    """Adds how often each label was learned, and minds what it is given."""

    def __init__(self) -> None:
        self.seen: dict[Any, int] = {}
        self.rows: list[dict[Any, Any]] = []

    @property
    def _supervised(self) -> bool:
        return True

    def learn_one(self, x: dict[Any, Any], y: Any = None) -> None:
        self.seen[y] = self.seen.get(y, 0) + 1
        self.rows.append(dict(x))

    def transform_one(self, x: dict[Any, Any]) -> dict[Any, Any]:
        return {**x, **{f"seen {label}": float(count) for label, count in self.seen.items()}}


Build = Callable[[], Any]
PolynomialExtender: Any = feature_extraction.PolynomialExtender  # untyped, as are the next two
GaussianNB: Any = naive_bayes.GaussianNB
GaussianScorer: Any = anomaly.GaussianScorer
CLASSES: dict[str, Build] = {
    "scaler and lr": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "three": lambda: (
        compose.Select("a", "b")
        | preprocessing.MinMaxScaler()
        | preprocessing.StandardScaler()
        | tree.HoeffdingTreeClassifier(grace_period=20)
    ),
    "function": lambda: compose.FuncTransformer(lambda x: {"a": x["a"] * x["b"]}) | GaussianNB(),
    "supervised": lambda: preprocessing.StandardScaler() | Supervised() | linear_model.LogisticRegression(),
    "model alone": lambda: compose.Pipeline(linear_model.LogisticRegression()),
}
NUMBERS: dict[str, Build] = {
    "scaler and linear": lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
    "polynomial": lambda: PolynomialExtender() | linear_model.LinearRegression(),
}


def rows(count: int) -> Iterator[tuple[dict[str, float], bool]]:
    numbers = random.Random(7)
    for _ in range(count):
        x = {"a": numbers.gauss(0, 1), "b": numbers.uniform(-2, 5)}
        yield x, x["a"] + numbers.gauss(0, 0.5) > 0


@pytest.mark.parametrize("name", [*CLASSES, *NUMBERS])
def test_it_says_what_river_says_to_the_last_bit(name: str) -> None:
    build = CLASSES.get(name) or NUMBERS[name]
    river, ran = build(), build()
    quick = straight(ran)
    assert type(quick) is Straight
    for x, y in rows(300):
        label = y if name in CLASSES else float(y)
        assert repr(quick.predict_one(dict(x))) == repr(river.predict_one(dict(x)))
        if name in CLASSES:
            assert repr(quick.predict_proba_one(dict(x))) == repr(river.predict_proba_one(dict(x)))
        quick.learn_one(dict(x), label)
        river.learn_one(dict(x), label)
    # River's own pipeline around the same steps has learned the same.
    x = {"a": 0.3, "b": 0.1}
    assert repr(ran.predict_one(dict(x))) == repr(river.predict_one(dict(x))) == repr(quick.predict_one(dict(x)))
    for one, other in zip(ran.steps.values(), river.steps.values(), strict=True):
        assert getattr(one, "rows", None) == getattr(other, "rows", None)


def test_a_regressor_has_no_probabilities_as_rivers_has_none() -> None:
    quick = straight(NUMBERS["polynomial"]())
    with pytest.raises(AttributeError, match="predict_proba_one"):
        quick.predict_proba_one({"a": 1.0})


class Own(compose.Pipeline):
    """A user's own."""


@pytest.mark.parametrize(
    "build",
    [
        lambda: linear_model.LogisticRegression(),
        lambda: Own(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        lambda: (preprocessing.StandardScaler() + compose.Select("a")) | linear_model.LogisticRegression(),
        lambda: compose.Pipeline(anomaly.QuantileFilter(GaussianScorer(), q=0.9), linear_model.LinearRegression()),
        lambda: compose.Pipeline(preprocessing.StandardScaler(), preprocessing.MinMaxScaler()),
        lambda: stats.Mean(),
    ],
)
def test_all_else_stays_as_it_is(build: Build) -> None:
    river = build()
    assert straight(river) is river
