"""Every stochastic part gets a seed of its own, and an explicit one stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from river import compose, drift, ensemble, forest, linear_model, optim, preprocessing, stats, tree
from river import feature_extraction as fx

from streamml.snapshots.seeds import rebuilt, seed_of, seeded, unseeded
from streamml.snapshots.structure import canonical

HAT: Any = tree.HoeffdingAdaptiveTreeClassifier
ARF: Any = forest.ARFClassifier
BAGGING: Any = ensemble.BaggingClassifier
LR: Any = linear_model.LogisticRegression
KSWIN: Any = drift.KSWIN
NORMAL: Any = optim.initializers.Normal


def test_a_seed_follows_from_the_root_and_the_path() -> None:
    assert seed_of(1, "a") == seed_of(1, "a")
    assert len({seed_of(1, "a"), seed_of(2, "a"), seed_of(1, "b")}) == 3
    assert all(0 <= seed_of(root, "a") < 2**31 for root in range(100))


def test_each_part_has_its_own_seed() -> None:
    built = seeded(ARF(drift_detector=KSWIN(), warning_detector=KSWIN()), 7)
    seeds = [built.seed, built.drift_detector.seed, built.warning_detector.seed]
    assert len(set(seeds)) == 3
    assert None not in seeds
    assert built.drift_detector._rng is not built.warning_detector._rng


def test_an_explicit_seed_stays() -> None:
    assert seeded(ARF(seed=42), 7).seed == 42
    assert seeded(ARF(seed=0), 7).seed == 0


def test_a_model_without_chance_is_taken_as_it_is() -> None:
    model = preprocessing.StandardScaler() | LR()
    assert seeded(model, 7) is model


NESTED: dict[str, Callable[[], Any]] = {
    "pipeline": lambda: preprocessing.StandardScaler() | HAT(),
    "union": lambda: (fx.RBFSampler() + compose.Select("a")) | LR(),
    "product": lambda: (compose.Select("a") * fx.RBFSampler()) | LR(),
    "list": lambda: ensemble.VotingClassifier([HAT(), preprocessing.StandardScaler() | HAT()]),
    "wrapper": lambda: BAGGING(HAT()),
    "deep": lambda: BAGGING(preprocessing.StandardScaler() | ensemble.AdaBoostClassifier(HAT(), n_models=2)),
    "initializer": lambda: LR(initializer=NORMAL()),
    "stacking": lambda: ensemble.StackingClassifier([HAT(), LR()], HAT()),
}


@pytest.mark.parametrize("build", NESTED.values(), ids=NESTED)
def test_seeds_reach_every_part(build: Callable[[], Any]) -> None:
    assert list(unseeded(build()))
    once, again, other = seeded(build(), 7), seeded(build(), 7), seeded(build(), 8)
    assert not list(unseeded(once))
    assert canonical(once) == canonical(again) != canonical(other)
    assert canonical(rebuilt(build(), 7)) == canonical(once)


def test_the_copies_in_an_ensemble_draw_different_numbers() -> None:
    built = seeded(BAGGING(HAT(), n_models=4), 7)
    assert len({model.seed for model in built}) == 4
    assert built.model.seed is not None
    assert built.model.seed not in {model.seed for model in built}


def test_rebuilding_forgets_what_was_learned() -> None:
    scaler: Any = preprocessing.StandardScaler()
    mean: Any = stats.Mean()
    scaler.learn_one({"a": 5.0})
    mean.update(5.0)
    assert scaler.means
    assert not rebuilt(scaler, 0).means
    assert rebuilt(mean, 0).get() == 0.0
