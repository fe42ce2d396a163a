"""The topology under chaos, and what makes it harder. Law: it is defined alike in the workers and in the checker.

A condition is a property of a whole run: `slow` adds a model that takes 2 s for a batch, `big` one whose snapshots have
8 MB, `unlearnable` gives the champion examples that it raises on, `late` has the topics created after the workers,
`disk` keeps the join's state on disk.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from river import base, linear_model, preprocessing, tree
from support.tiny import tiny

from streamml import Model, Snapshots, Topology

PARTITIONS = 4
WINDOW = 1_000
HORIZON_MS = 60_000
GRACE_MS = 10_000
CONDITIONS = ("slow", "big", "unlearnable", "late", "disk")

NAP = "CHAOS_NAP"
"""The environment variable that has `Slow` sleep: set in workers only, as a nap is no part of what a model learns."""

BALLAST = 8 << 20
_NAP_EVERY = 10_000
_NAP_S = 2.0
_DISLIKED = 0.001


def unlearnable(x: dict[Any, Any]) -> bool:
    """Whether the champion raises on learning this row: about one in ten thousand."""
    return abs(float(x["temperature"]) - 15.0) < _DISLIKED


class Frail(base.Classifier):
    """Raises on rows that it does not like, after it has learned them: its state is then spoilt."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        self.model.learn_one(x, y)
        if unlearnable(x):
            raise ValueError("I do not like this row")

    def predict_proba_one(self, x: dict[Any, Any], **kwargs: Any) -> Any:
        return self.model.predict_proba_one(x)


class Slow(Frail):
    """Sleeps for 2 s once in ten thousand examples, where it is told to."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.learned = 0

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        self.learned += 1
        if self.learned % _NAP_EVERY == 0 and os.environ.get(NAP):
            time.sleep(_NAP_S)
        self.model.learn_one(x, y)


class Heavy(Slow):
    """Carries 8 MB that no compression makes less."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.ballast = Random(8).randbytes(BALLAST)

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        self.model.learn_one(x, y)


def regression() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def frail() -> Any:
    return Frail(regression())


def hoeffding() -> Any:
    return tree.HoeffdingTreeClassifier(grace_period=200, delta=0.01)


def slow() -> Any:
    return Slow(linear_model.LogisticRegression())


def heavy() -> Any:
    return Heavy(linear_model.LogisticRegression())


def storm(name: str, conditions: str = "") -> Topology:
    """The tiny topology with short horizons; `conditions` is a list with commas."""
    given = set(conditions.split(",")) if conditions else set()
    models = [Model("lr", frail if "unlearnable" in given else regression), Model("tree", hoeffding)]
    if "slow" in given:
        models.append(Model("slow", slow))
    if "big" in given:
        models.append(Model("heavy", heavy))
    usual = tiny(name)
    feedback = replace(
        usual.feedback,
        horizon=timedelta(milliseconds=HORIZON_MS),
        grace=timedelta(milliseconds=GRACE_MS),
        # Silence of the wall clock is the one thing beside the logs that may change an outcome: not here.
        idle=timedelta(days=3_650),
        store="disk" if "disk" in given else "memory",
    )
    return replace(
        usual,
        models=tuple(models),
        feedback=feedback,
        snapshots=Snapshots(every=20_000),
        window=WINDOW,
        partitions=PARTITIONS,
    )


def topology_file(folder: Path, name: str, conditions: str) -> Path:
    """A user's file that declares it."""
    file = folder / "storm_topology.py"
    file.write_text(f"from chaos.storm import storm\n\ntopology = storm({name!r}, {conditions!r})\n")
    return file
