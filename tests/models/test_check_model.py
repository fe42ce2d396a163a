"""Each model that cannot be a reproducible fold gets one line with the part, the reason and the fix."""

from __future__ import annotations

import importlib
import pickle
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from river import (
    compose,
    dummy,
    ensemble,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    preprocessing,
    tree,
)
from river import feature_extraction as fx

from streamml.models import check_model
from streamml.models.refused import REFUSED
from streamml.topology import Classification, Feature, Model, Regression, Target

TWO, THREE, NUMBER = Classification("a", "b"), Classification("a", "b", "c"), Regression()
NUMBERS = [Feature("p"), Feature("q"), Feature("r")]
MIXED = [Feature("p"), Feature("q", optional=True), Feature("s", "string"), Feature("t", "string", True)]

LR: Any = linear_model.LogisticRegression
SCALER: Any = preprocessing.StandardScaler
TREE: Any = tree.HoeffdingTreeClassifier
KNN: Any = neighbors.KNNClassifier
OVO: Any = multiclass.OneVsOneClassifier
FUNCTION: Any = compose.FuncTransformer


def problems(build: Callable[[], Any], target: Target = TWO, features: list[Feature] = NUMBERS) -> list[str]:
    found = check_model(Model("m", build), target, features)
    assert all(line.startswith("model m: ") and "\n" not in line for line in found)
    return found


SHARED = SCALER()
TRAINED = TREE()
for _i in range(300):
    TRAINED.learn_one({"p": _i % 7 / 7, "q": 0.5, "r": 0.1}, _i % 2)
TRAINED_BYTES = pickle.dumps(TRAINED)


def adds_a_key(x: dict[str, Any]) -> dict[str, Any]:
    x["extra"] = 1.0
    return x


def rolls_dice(x: dict[str, Any]) -> dict[str, Any]:
    return {**x, "extra": random.random()}


def reads_the_clock(x: dict[str, Any]) -> dict[str, Any]:
    return {**x, "extra": time.perf_counter() % 1.0}


def needs_a_date(x: dict[str, Any]) -> dict[str, Any]:
    return {**x, "year": int(x["s"].split("-")[0])}


SEEN: list[int] = []


def counts_calls(x: dict[str, Any]) -> dict[str, Any]:
    SEEN.append(1)
    return {**x, "extra": float(len(SEEN))}


REFUSALS: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (lambda: 1 / 0, r"build\(\) raises ZeroDivisionError: .*; it must return"),
    "nothing": (lambda: None, "which is not a classifier"),
    "class": (lambda: naive_bayes.GaussianNB, r"return an estimator, GaussianNB\(\)"),
    "regressor": (linear_model.LinearRegression, "use a classifier, or declare Regression"),
    "same object": (lambda: TRAINED, "returns the same object each time; construct"),
    "shared part": (lambda: SHARED | LR(), r"steps\['StandardScaler'\] is the same object in two builds; construct"),
    "trained": (lambda: pickle.loads(TRAINED_BYTES), "already learned; construct a new estimator"),
    "lambda": (lambda: FUNCTION(lambda x: x) | LR(), r"func is .*<lambda>, which no snapshot can hold; use a function"),
    "changes x": (lambda: FUNCTION(adds_a_key) | LR(), "changes the features that it is given; let"),
    "random": (lambda: FUNCTION(rolls_dice) | LR(), "two builds gave different answers .*; remove what is random"),
    "clock": (lambda: FUNCTION(reads_the_clock) | LR(), "two builds gave different answers"),
    "global state": (lambda: FUNCTION(counts_calls) | LR(), "two builds gave different answers"),
    "knn of swinn": (KNN, r"KNNClassifier.engine \(SWINN\) .*; give the model engine=neighbors.LazySearch"),
    "one against one": (lambda: OVO(LR()), "use multiclass.OneVsRestClassifier"),
    "embedding": (
        lambda: fx.RandomTreesEmbedding() | LR(),
        "broken by a restart .*; use feature_extraction.RBFSampler",
    ),
    "mondrian": (forest.AMFClassifier, "grows without bound; use forest.ARFClassifier"),
    "knn in adwin bagging": (
        lambda: ensemble.ADWINBaggingClassifier(KNN(engine=neighbors.LazySearch(window_size=50)), n_models=2),
        "in ADWINBaggingClassifier: .*; use BaggingClassifier",
    ),
}


@pytest.mark.parametrize(("build", "said"), REFUSALS.values(), ids=REFUSALS)
def test_a_model_is_refused(build: Callable[[], Any], said: str) -> None:
    (found,) = problems(build)
    assert re.search(said, found), found


def test_two_classes_only() -> None:
    (found,) = problems(lambda: SCALER() | LR(), THREE)
    assert "two classes apart, and 3 are declared; use multiclass.OneVsRestClassifier(LogisticRegression(...))" in found
    assert not problems(lambda: SCALER() | multiclass.OneVsRestClassifier(LR()), THREE)


def test_parts_that_do_not_suit_the_features() -> None:
    (found,) = problems(lambda: SCALER() | LR(), TWO, MIXED)
    assert "raised on learn: TypeError" in found
    assert "use parts that suit their types" in found


def test_a_function_that_needs_values_no_made_up_row_has_is_not_judged() -> None:
    one_hot: Any = preprocessing.OneHotEncoder
    assert not problems(lambda: FUNCTION(needs_a_date) | one_hot() | LR(), TWO, MIXED)


@pytest.mark.parametrize(
    ("build", "target", "features"),
    [
        (lambda: SCALER() | LR(), TWO, NUMBERS),
        (TREE, THREE, MIXED),
        (tree.HoeffdingAdaptiveTreeClassifier, THREE, MIXED),
        (lambda: forest.ARFClassifier(n_models=3), THREE, MIXED),
        (lambda: ensemble.BaggingClassifier(tree.HoeffdingAdaptiveTreeClassifier(), n_models=3), TWO, NUMBERS),
        (dummy.PriorClassifier, THREE, MIXED),
        (dummy.NoChangeClassifier, TWO, NUMBERS),
        (tree.HoeffdingTreeRegressor, NUMBER, NUMBERS),
        (lambda: preprocessing.TargetStandardScaler(linear_model.LinearRegression()), NUMBER, NUMBERS),
    ],
)
def test_a_good_model_passes(build: Callable[[], Any], target: Target, features: list[Feature]) -> None:
    assert problems(build, target, features) == []


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda r: r.part.partition(":")[2])
def test_the_table_names_classes_that_exist(refusal: Any) -> None:
    for path in filter(None, (refusal.part, refusal.inside)):
        module, _, name = path.partition(":")
        cls = getattr(importlib.import_module(module), name)
        assert cls.__module__ == module
    assert refusal.reason
    assert refusal.fix
