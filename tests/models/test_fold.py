"""What a caller sees of a fold: outputs, positions, and one line when a model fails."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from river import base, dummy, ensemble, forest, linear_model, naive_bayes, preprocessing, stats
from river import feature_extraction as fx

from streamml.errors import DeclarationError, SnapshotError
from streamml.models import Fold, FoldError, SpentError
from streamml.topology import Classification, Feature, Model, Regression

YES_NO = Classification("no", "yes")
COLOURS = Classification("red", "green", "blue")
X = {"a": 1.0}


class Says(base.Classifier):
    """Answers with the votes that it was given."""

    def __init__(self, votes: Any) -> None:
        self.votes = votes
        self.learned: list[Any] = []

    @property
    def _multiclass(self) -> bool:
        return True

    def learn_one(self, x: Any, y: Any) -> None:
        self.learned.append(y)

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return self.votes


class Labels(Says):
    """Answers with a label alone."""

    def predict_one(self, x: Any, **kwargs: Any) -> Any:
        return self.votes

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


class Number(base.Regressor):
    def __init__(self, value: Any) -> None:
        self.value = value

    def learn_one(self, x: Any, y: Any) -> None:
        self.value = y

    def predict_one(self, x: Any) -> Any:
        return self.value


class Raises(base.Classifier):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def learn_one(self, x: Any, y: Any) -> None:
        raise self.error

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        raise self.error


class PanicException(BaseException):
    """As Rust code inside River raises it."""


def fold(build: Callable[[], Any], target: Any = YES_NO) -> Fold:
    return Fold.new(Model("m", build), target)


@pytest.mark.parametrize(
    ("votes", "label", "probabilities"),
    [
        ({}, None, {}),
        ({False: 0.25, True: 0.75}, "yes", {"no": 0.25, "yes": 0.75}),
        ({1: 0.75, 0: 0.25}, "yes", {"no": 0.25, "yes": 0.75}),
        ({0: 0.5, 1: 0.5}, "no", {"no": 0.5, "yes": 0.5}),
        ({1: 0.5, 0: 0.5}, "yes", {"no": 0.5, "yes": 0.5}),
        ({1: 1.0}, "yes", {"yes": 1.0}),
        ({0: 0, 1: 1}, "yes", {"no": 0.0, "yes": 1.0}),
    ],
)
def test_two_classes(votes: Any, label: str | None, probabilities: dict[str, float]) -> None:
    answer = fold(lambda: Says(votes)).predict(X)
    assert answer == {"label": label, "probabilities": probabilities}
    assert list(answer["probabilities"]) == list(probabilities), "in declared order"
    assert all(type(p) is float for p in answer["probabilities"].values())


@pytest.mark.parametrize(
    ("votes", "label", "probabilities"),
    [
        ({2: 0.2, 0: 0.3, 1: 0.5}, "green", {"red": 0.3, "green": 0.5, "blue": 0.2}),
        ({2: 0.4, 0: 0.4, 1: 0.2}, "blue", {"red": 0.4, "green": 0.2, "blue": 0.4}),
        ({2: 0.9, 0: 0.1}, "blue", {"red": 0.1, "blue": 0.9}),
        ({1: 1}, "green", {"green": 1.0}),
    ],
)
def test_more_classes(votes: Any, label: str, probabilities: dict[str, float]) -> None:
    answer = fold(lambda: Says(votes), COLOURS).predict(X)
    assert answer == {"label": label, "probabilities": probabilities}
    assert list(answer["probabilities"]) == list(probabilities)


def test_the_label_is_the_one_that_river_chooses() -> None:
    model: Any = Says({2: 0.25, 1: 0.25, 0: 0.25})
    assert fold(lambda: model, COLOURS).predict(X)["label"] == COLOURS.classes[model.predict_one(X)]


@pytest.mark.parametrize("classes", [("no", "yes"), (3, 7), (False, True), (True, False)])
def test_classes_come_back_as_they_were_declared(classes: tuple[Any, ...]) -> None:
    one = fold(lambda: linear_model.LogisticRegression(), Classification(*classes))
    for _ in range(50):
        one.learn(X, classes[1])
    answer = one.predict(X)
    assert answer["label"] is classes[1]
    assert list(answer["probabilities"]) == [str(value) for value in classes]


def test_a_model_that_only_labels() -> None:
    assert fold(lambda: Labels(1)).predict(X) == {"label": "yes", "probabilities": {}}
    assert fold(lambda: Labels(True)).predict(X) == {"label": "yes", "probabilities": {}}
    assert fold(lambda: Labels(None)).predict(X) == {"label": None, "probabilities": {}}


def test_a_model_with_a_label_of_its_own_keeps_it() -> None:
    one = fold(dummy.NoChangeClassifier)
    one.learn(X, "yes")
    assert one.predict(X) == {"label": "yes", "probabilities": {"yes": 1.0}}
    bayes: Any = naive_bayes.GaussianNB
    voting = fold(lambda: ensemble.VotingClassifier([bayes(), linear_model.LogisticRegression()]))
    for y in ("yes", "no", "yes"):
        voting.learn(X, y)
    assert voting.predict(X)["label"] in ("yes", "no")


@pytest.mark.parametrize("value", [1.5, 2, None])
def test_numbers(value: Any) -> None:
    answer = fold(lambda: Number(value), Regression()).predict(X)
    assert answer == {"value": value}
    assert answer["value"] is None or type(answer["value"]) is float


def test_numbers_are_learned_as_floats() -> None:
    one = fold(lambda: Number(None), Regression())
    one.learn(X, 3)
    assert repr(one.predict(X)) == "{'value': 3.0}"


def test_positions_count_examples() -> None:
    one = fold(naive_bayes.GaussianNB)
    assert one.position == 0
    assert one.test_then_learn(X, "yes") == {"label": None, "probabilities": {}}
    one.learn(X, "no")
    one.predict(X)
    assert one.position == 2


@pytest.mark.parametrize("votes", [{0: 0.0, 1: 1}, {0: 1, 1: 0}, {1: 1, 0: 0.0}])
def test_probabilities_are_floats_whatever_river_says(votes: Any) -> None:
    answer = fold(lambda: Says(votes)).predict(X)
    assert {type(p) for p in answer["probabilities"].values()} == {float}


BAD = [
    ({0: math.nan, 1: 0.5}, "nan"),
    ({0: math.inf, 1: 0.5}, "inf"),
    ({0: 0.2, 1: 0.3, 2: math.nan}, "nan"),
    ({0: math.inf}, "inf"),
    ({0: 0.1, "yes": 0.2}, ""),
    ({5: 1.0}, "codes of a class"),
]


@pytest.mark.parametrize(("votes", "said"), BAD)
def test_an_answer_that_cannot_be_served_is_none(votes: Any, said: str) -> None:
    one = fold(lambda: Says(votes), COLOURS)
    for _ in range(2):
        with pytest.raises(FoldError, match=f"model m at position 0 raised on predict: .*{said}"):
            one.predict(X)
    # Predicting changes nothing, so the model can still learn.
    one.learn(X, COLOURS.classes[0])
    assert one.position == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, "text"])
def test_a_number_that_cannot_be_served(value: Any) -> None:
    with pytest.raises(FoldError, match="raised on predict"):
        fold(lambda: Number(value), Regression()).predict(X)


@pytest.mark.parametrize("label", [7, -1, 0.5, "yes"])
def test_a_label_that_was_not_declared(label: Any) -> None:
    with pytest.raises(FoldError, match="not the code of a declared class"):
        fold(lambda: Labels(label)).predict(X)


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("a"), PanicException("Rust\ncode")])
def test_a_model_that_raises_is_spent(error: BaseException) -> None:
    one = fold(lambda: Raises(error))
    with pytest.raises(FoldError, match=rf"model m at position 0 raised on learn: {type(error).__name__}") as first:
        one.learn(X, "yes")
    assert first.value.__cause__ is error
    assert "\n" not in str(first.value)
    for again in (lambda: one.learn(X, "yes"), lambda: one.predict(X), one.dumps):
        with pytest.raises(SpentError, match="raised on learn"):
            again()
    assert one.position == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_not_the_models_passes_through(error: type[BaseException]) -> None:
    one = fold(lambda: Raises(error()))
    for use in (lambda: one.predict(X), lambda: one.learn(X, "yes")):
        with pytest.raises(error):
            use()


def test_a_panic_of_river_itself_is_caught() -> None:
    median: Any = stats.RollingQuantile

    def build() -> Any:
        return fx.Agg(on="a", by=["g"], how=median(0.5, 3)) | linear_model.LinearRegression()

    one = fold(build, Regression())
    one.learn({"a": 1.0, "g": "x"}, 1.0)
    with pytest.raises(FoldError, match="model m at position 1 raised on learn: PanicException"):
        one.learn({"a": math.nan, "g": "x"}, 1.0)


def test_an_undeclared_class_says_which() -> None:
    with pytest.raises(FoldError, match=r"'maybe' is not one of \['no', 'yes'\]"):
        fold(naive_bayes.GaussianNB).learn(X, "maybe")


@pytest.mark.parametrize(
    ("build", "target", "said"),
    [
        (lambda: 1 / 0, YES_NO, r"build\(\) raises ZeroDivisionError"),
        (lambda: None, YES_NO, "NoneType, which is not a classifier"),
        (lambda: naive_bayes.GaussianNB, YES_NO, r"the class GaussianNB; return an estimator"),
        (linear_model.LinearRegression, YES_NO, "cannot predict classes"),
        (naive_bayes.GaussianNB, Regression(), "cannot predict a number"),
        (preprocessing.StandardScaler, Regression(), "not a regressor"),
    ],
)
def test_a_model_that_does_not_suit_the_target(build: Callable[[], Any], target: Any, said: str) -> None:
    with pytest.raises(DeclarationError, match=f"model m: .*{said}"):
        fold(build, target)


def test_a_snapshot_of_another_model_is_refused() -> None:
    payload = fold(naive_bayes.GaussianNB).dumps()
    scaled = Model("m", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression())
    with pytest.raises(SnapshotError, match="holds a GaussianNB, not a Pipeline"):
        Fold.loads(scaled, YES_NO, payload, 1)


def test_a_forest_is_not_shaped_by_a_prediction_before_the_first_example() -> None:
    features = [Feature("a"), Feature("b"), Feature("c", optional=True)]
    rows = [({f.name: (i * 7 % 11) / 11 for f in features}, "yes" if i % 3 else "no") for i in range(120)]
    arf: Any = forest.ARFClassifier
    asked, silent = (fold(lambda: arf(n_models=3, grace_period=20)) for _ in range(2))
    assert asked.predict({"a": 0.5}) == {"label": None, "probabilities": {}}
    for x, y in rows:
        asked.learn(x, y)
        silent.learn(x, y)
    assert [asked.predict(x) for x, _ in rows] == [silent.predict(x) for x, _ in rows]
    assert len(asked.dumps()) == len(silent.dumps())
