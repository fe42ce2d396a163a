"""Every kind of model that we recommend, through the laws of a fold. Run as a program it is the other process."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from river import ensemble, forest, linear_model, multiclass, naive_bayes, neighbors, preprocessing, tree

from streamml.models import Fold, check_model, digest_of
from streamml.topology import Classification, Feature, Model, Regression, Target

DATA = Path(__file__).resolve().parents[2] / "data"
BINARY, SEVEN, NUMBER = Classification("DOWN", "UP"), Classification(*range(1, 8)), Regression()
Row = tuple[dict[str, Any], Any]


def scaled(estimator: Any) -> Any:
    return preprocessing.StandardScaler() | estimator


def untyped(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """River's constructors have no types."""
    return cls(*args, **kwargs)


def bagged() -> Any:
    return untyped(ensemble.LeveragingBaggingClassifier, tree.HoeffdingAdaptiveTreeClassifier(), n_models=3)


def near(kind: Any) -> Any:
    return scaled(untyped(kind, n_neighbors=5, engine=neighbors.LazySearch(window_size=100)))


MODELS: dict[str, tuple[Target, int, Callable[[], Any]]] = {
    "logistic": (BINARY, 2_000, lambda: scaled(linear_model.LogisticRegression())),
    "passive-aggressive": (BINARY, 2_000, lambda: scaled(untyped(linear_model.PAClassifier))),
    "bayes": (BINARY, 1_000, naive_bayes.GaussianNB),
    "bagging": (BINARY, 400, bagged),
    "softmax": (SEVEN, 400, lambda: scaled(untyped(linear_model.SoftmaxRegression))),
    "one-vs-rest": (SEVEN, 400, lambda: scaled(multiclass.OneVsRestClassifier(linear_model.LogisticRegression()))),
    "bayes of seven": (SEVEN, 200, naive_bayes.GaussianNB),
    "hoeffding": (SEVEN, 600, lambda: untyped(tree.HoeffdingTreeClassifier, grace_period=50)),
    "adaptive hoeffding": (SEVEN, 600, lambda: untyped(tree.HoeffdingAdaptiveTreeClassifier, grace_period=50)),
    "forest": (SEVEN, 400, lambda: untyped(forest.ARFClassifier, n_models=3)),
    "patches": (BINARY, 400, lambda: untyped(ensemble.SRPClassifier, n_models=3)),
    "neighbours": (BINARY, 600, lambda: near(neighbors.KNNClassifier)),
    "linear": (NUMBER, 2_000, lambda: scaled(linear_model.LinearRegression())),
    "regression tree": (NUMBER, 1_000, lambda: scaled(untyped(tree.HoeffdingTreeRegressor, grace_period=50))),
    "regression forest": (NUMBER, 400, lambda: untyped(forest.ARFRegressor, n_models=3)),
    "regression neighbours": (NUMBER, 600, lambda: near(neighbors.KNNRegressor)),
}
"""Target, number of rows, factory. No seed is set here: deriving them is part of what is tested."""


@cache
def rows_of(target: Target) -> list[Row]:
    name, label = ("covertype-50k", "Cover_Type") if target is SEVEN else ("elec2", "class")
    rows: list[Row] = []
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
        for row in itertools.islice(csv.DictReader(file), 2_000):
            y = row.pop(label)
            row.pop("timestamp", None)
            x = {key: float(row[key]) for key in sorted(row)}
            if target is NUMBER:
                rows.append((x, x.pop("nswdemand")))
            else:
                rows.append((x, int(y) if target is SEVEN else y))
    return rows


def case(name: str) -> tuple[Model, Target, list[Row]]:
    target, count, build = MODELS[name]
    return Model(name, build, seed=7), target, rows_of(target)[:count]


def answers_of(fold: Fold, rows: list[Row]) -> list[dict[str, Any]]:
    return [fold.test_then_learn(x, y) for x, y in rows]


@cache
def reference(name: str) -> tuple[list[dict[str, Any]], bytes]:
    """The answers of a whole fold, and its snapshot half-way."""
    spec, target, rows = case(name)
    fold, half = Fold.new(spec, target), len(rows) // 2
    answers = answers_of(fold, rows[:half])
    payload = fold.dumps()
    return answers + answers_of(fold, rows[half:]), payload


every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_a_replay_is_identical(name: str) -> None:
    spec, target, rows = case(name)
    fold = Fold.new(spec, target)
    assert answers_of(fold, rows) == reference(name)[0]
    assert fold.position == len(rows)


@every_model
def test_it_learns_the_same_whoever_asks_for_predictions(name: str) -> None:
    spec, target, rows = case(name)
    asked, silent = Fold.new(spec, target), Fold.new(spec, target)
    for index, (x, y) in enumerate(rows):
        for other in (rows[-1 - index][0], x):
            asked.predict(other)
        asked.learn(x, y)
        silent.learn(x, y)
    assert asked.position == silent.position == len(rows)
    assert [asked.predict(x) for x, _ in rows[:50]] == [silent.predict(x) for x, _ in rows[:50]]


@every_model
def test_the_check_lets_it_pass(name: str) -> None:
    spec, target, rows = case(name)
    assert check_model(spec, target, [Feature(feature) for feature in rows[0][0]][:6]) == []


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What another process makes of the snapshots half-way."""
    folder = tmp_path_factory.mktemp("snapshots")
    for name in MODELS:
        (folder / f"{name}.snapshot").write_bytes(reference(name)[1])
    return run_elsewhere(str(folder), os.environ.get("PYTHONHASHSEED", "0"))


@every_model
def test_another_process_goes_on_from_a_snapshot(name: str, elsewhere: dict[str, Any]) -> None:
    _, _, rows = case(name)
    theirs = elsewhere[name]
    assert theirs["position"] == len(rows)
    assert theirs["answers"] == json.loads(json.dumps(reference(name)[0][len(rows) // 2 :]))


@every_model
def test_the_digest_is_the_same_in_another_process(name: str, elsewhere: dict[str, Any]) -> None:
    spec, target, _ = case(name)
    assert elsewhere[name]["digest"] == digest_of(spec, target)


def test_digests_differ_and_do_not_depend_on_the_hash_seed() -> None:
    ours = {name: digest_of(*case(name)[:2]) for name in MODELS}
    assert len(set(ours.values())) == len(MODELS)
    theirs = run_elsewhere("-", "4711")
    assert {name: found["digest"] for name, found in theirs.items()} == ours


def run_elsewhere(folder: str, hash_seed: str) -> dict[str, Any]:
    command = [sys.executable, __file__, folder]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def go_on(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in MODELS:
        spec, target, rows = case(name)
        found[name] = {"digest": digest_of(spec, target)}
        if folder != "-":
            half = len(rows) // 2
            payload = (Path(folder) / f"{name}.snapshot").read_bytes()
            fold = Fold.loads(spec, target, payload, half)
            found[name] |= {"answers": answers_of(fold, rows[half:]), "position": fold.position}
    return found


if __name__ == "__main__":
    print(json.dumps(go_on(sys.argv[1])))
