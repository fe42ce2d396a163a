"""What a model shows of an answer adds up to that answer, and asking changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import pytest
from river import compose, ensemble, feature_extraction, linear_model, multiclass, naive_bayes, preprocessing, tree

from streamml import Classification, Model, Regression
from streamml.models import Features, Fold
from streamml.models.contributions import Linear, Path, contributions

Bayes: Any = naive_bayes.GaussianNB
Polynomial: Any = feature_extraction.PolynomialExtender

YES_NO, THREE, NUMBER = Classification("no", "yes"), Classification("a", "b", "c"), Regression()


def row(number: int) -> Features:
    return {"heat": float(number * 7 % 31), "wet": float(number * 13 % 23), "zero": 0.0}


def learned(build: Callable[[], Any], target: Any, count: int = 400) -> Fold:
    fold = Fold.new(Model("m", build), target)
    for number in range(count):
        x = row(number)
        if isinstance(target, Regression):
            fold.learn(x, x["heat"] * 2 - x["wet"])
        else:
            classes = target.classes
            fold.learn(x, classes[int(x["heat"] * len(classes) / 31)])
    return fold


def scaled(model: Any) -> Any:
    return preprocessing.StandardScaler() | model


def test_a_binary_model_shows_the_sum_behind_its_probability() -> None:
    fold = learned(lambda: scaled(linear_model.LogisticRegression()), YES_NO)
    found = contributions(fold, row(5))
    assert isinstance(found, Linear)
    (score,) = found.scores
    assert score.of == "yes"
    assert 1 / (1 + exp(-score.total)) == pytest.approx(fold.predict(row(5))["probabilities"]["yes"])
    assert score.total == pytest.approx(score.intercept + sum(term.contribution for term in score.terms))
    # The scaled values reach the model, not those of the row; the largest term stands first.
    assert [term.feature for term in score.terms] == ["heat", "wet", "zero"]
    assert abs(score.terms[0].value) < 2
    assert score.terms[0].contribution == score.terms[0].value * score.terms[0].weight
    assert score.terms[0].weight > 1


@pytest.mark.parametrize("build", [linear_model.LinearRegression, linear_model.PARegressor])
def test_a_number_is_the_sum(build: Callable[[], Any]) -> None:
    fold = learned(lambda: scaled(build()), NUMBER)
    found = contributions(fold, row(9))
    assert isinstance(found, Linear)
    assert found.scores[0].of is None
    assert found.scores[0].total == pytest.approx(fold.predict(row(9))["value"])


@pytest.mark.parametrize(
    "build",
    [
        linear_model.SoftmaxRegression,
        lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
        lambda: multiclass.OneVsRestClassifier(scaled(linear_model.LogisticRegression())),
    ],
)
def test_each_class_has_its_sum(build: Callable[[], Any]) -> None:
    fold = learned(lambda: scaled(build()), THREE)
    for number in range(20):
        found = contributions(fold, row(number))
        assert isinstance(found, Linear)
        assert [score.of for score in found.scores] == ["a", "b", "c"]
        assert max(found.scores, key=lambda score: score.total).of == fold.predict(row(number))["label"]


def test_what_pipelines_make_of_a_row_is_what_is_shown() -> None:
    def build() -> Any:
        made = Polynomial(degree=2)
        return preprocessing.StandardScaler() | (made | linear_model.LinearRegression())

    fold = learned(build, NUMBER)
    found = contributions(fold, row(3))
    assert isinstance(found, Linear)
    assert len(found.scores[0].terms) == 9
    assert found.scores[0].total == pytest.approx(fold.predict(row(3))["value"])

    union = learned(lambda: (compose.Select("heat") + compose.Select("wet")) | linear_model.Perceptron(), YES_NO)
    shown = contributions(union, row(3))
    assert isinstance(shown, Linear)
    assert {term.feature for term in shown.scores[0].terms} == {"heat", "wet"}


@pytest.mark.parametrize(
    "build",
    [
        lambda: tree.HoeffdingTreeClassifier(grace_period=20, delta=0.1),
        lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, delta=0.1, seed=1),
    ],
)
def test_a_tree_shows_the_path_to_its_leaf(build: Callable[[], Any]) -> None:
    fold = learned(lambda: scaled(build()), YES_NO)
    found = contributions(fold, row(5))
    assert isinstance(found, Path)
    assert found.turns
    first = found.turns[0]
    assert first.feature == "heat"
    assert isinstance(first.value, float)
    assert first.test.startswith(("heat ≤ ", "heat > "))
    threshold = float(first.test.split()[-1])
    assert (first.value <= threshold) == ("≤" in first.test)
    assert set(found.classes) <= {"no", "yes"}
    assert found.weight == pytest.approx(sum(found.classes.values()))


def test_a_feature_that_is_absent_goes_the_way_of_most() -> None:
    fold = learned(lambda: tree.HoeffdingTreeClassifier(grace_period=20, delta=0.1), YES_NO)
    found = contributions(fold, {})
    assert isinstance(found, Path)
    assert found.turns[0].value is None
    assert found.turns[0].test


def test_a_tree_of_numbers_has_no_classes() -> None:
    fold = learned(lambda: tree.HoeffdingTreeRegressor(grace_period=20, delta=0.1), NUMBER)
    found = contributions(fold, row(5))
    assert isinstance(found, Path)
    assert found.turns
    assert found.classes == {}


def test_another_model_shows_nothing() -> None:
    for build in (
        Bayes,
        lambda: ensemble.BaggingClassifier(linear_model.LogisticRegression(), n_models=2, seed=1),
        lambda: multiclass.OneVsRestClassifier(Bayes()),
    ):
        assert contributions(learned(build, YES_NO, 50), row(1)) is None
    assert contributions(learned(tree.HoeffdingTreeClassifier, YES_NO, 0), row(1)) is None


def test_asking_changes_no_answer() -> None:
    for build in (
        lambda: scaled(linear_model.LogisticRegression()),
        lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, delta=0.1, seed=1),
    ):
        asked, not_asked = learned(build, YES_NO), learned(build, YES_NO)
        for number in range(400, 500):
            contributions(asked, row(number))
            x, y = row(number), YES_NO.classes[number % 2]
            assert asked.test_then_learn(x, y) == not_asked.test_then_learn(x, y)
