"""Whether a model is a reproducible fold, judged by what it does. Law: made-up rows, the same each time."""

from __future__ import annotations

import copy
import random
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import river

from streamml.errors import SnapshotError
from streamml.models.fold import Features, Fold, FoldError, Output
from streamml.snapshots.seeds import rebuilt
from streamml.topology import Classification, Feature, Model, Target

ROWS = 300
"""Beyond the grace period of Hoeffding trees (200), so that they split."""

_UNTRAINED_ROWS = 20
_WORDS = ("amber", "birch", "cedar", "delta")
_RIVER = str(Path(river.__file__).parent)
_OURS = str(Path(__file__).parents[1])

Row = tuple[Features, Any]


def probe(model: Model, target: Target, features: Sequence[Feature]) -> str | None:
    """What keeps `model` from being a reproducible fold, with the fix; None if nothing was found."""
    rows = synthetic_rows(target, features)
    untouched = copy.deepcopy(rows)
    try:
        fold = Fold.new(model, target)
        answers = [fold.test_then_learn(x, y) for x, y in rows]
        return (
            _changes_rows(rows, untouched)
            or _trained(model, target, rows)
            or _second_build(model, target, rows, answers)
            or _extra_predictions(model, target, features, rows, answers)
            or _restart(model, target, rows, answers)
        )
    except FoldError as error:
        if _raised_by_user(error):
            return None
        text = str(error).removeprefix(f"model {model.name} ").partition("; its state")[0]
        return f"{text} (on made-up rows of the declared features); use parts that suit their types"


def synthetic_rows(target: Target, features: Sequence[Feature], count: int = ROWS) -> list[Row]:
    """Rows of the declared features, and labels that depend on them. Numbers lie in [0, 1]; integers in 0 to 50."""
    draw = random.Random(20_260_101)
    ordered = sorted(features, key=lambda feature: feature.name)
    rows: list[Row] = []
    for index in range(count):
        x = {feature.name: _value(feature, draw) for feature in ordered if not feature.optional or draw.random() < 0.8}
        score = sum(_weight(value) for value in x.values()) + (0.5 if index > count // 2 else 0.0)
        if isinstance(target, Classification):
            rows.append((x, target.classes[int(score * 3 + draw.random()) % len(target.classes)]))
        else:
            rows.append((x, score + 0.1 * draw.gauss(0.0, 1.0)))
    return rows


def _value(feature: Feature, draw: random.Random) -> Any:
    if feature.type == "double":
        return draw.random()
    if feature.type == "long":
        return draw.randint(0, 50)
    return draw.choice(_WORDS) if feature.type == "string" else draw.random() < 0.5


def _weight(value: Any) -> float:
    return len(value) / 5 if isinstance(value, str) else float(value)


def _changes_rows(rows: list[Row], untouched: list[Row]) -> str | None:
    if rows == untouched:
        return None
    return "changes the features that it is given; let its functions return a new dict"


def _trained(model: Model, target: Target, rows: list[Row]) -> str | None:
    """A model that answers otherwise than one made from the same parameters has learned before."""
    fold = Fold.new(model, target)
    anew = Fold.new(Model(model.name, lambda: rebuilt(model.build(), model.seed), model.seed), target)
    if all(fold.predict(x) == anew.predict(x) for x, _ in rows[:_UNTRAINED_ROWS]):
        return None
    return "build() returns a model that has already learned; construct a new estimator inside build()"


def _second_build(model: Model, target: Target, rows: list[Row], answers: list[Output]) -> str | None:
    fold = Fold.new(model, target)
    at = _first_difference(fold, rows, answers)
    if at is None:
        return None
    return (
        f"two builds gave different answers after {at} of the same examples; "
        "remove what is random, or depends on the clock, or is shared between builds"
    )


def _extra_predictions(
    model: Model, target: Target, features: Sequence[Feature], rows: list[Row], answers: list[Output]
) -> str | None:
    """Predicting more, and other rows, must not matter: the log of examples does not hold who asked for what."""
    optional = [feature.name for feature in features if feature.optional]
    fold = Fold.new(model, target)
    for index, ((x, y), answer) in enumerate(zip(rows, answers, strict=True)):
        for other in (_unseen(x, optional, index), rows[-1 - index][0], x):
            fold.predict(other)
        if fold.predict(x) != answer:
            return (
                f"predicting changes it (seen after {index} examples), so the log alone cannot rebuild it; "
                "use parts that only learn in learn_one"
            )
        fold.learn(x, y)
    return None


def _restart(model: Model, target: Target, rows: list[Row], answers: list[Output]) -> str | None:
    """Learn half without predicting, go through a snapshot, and learn the rest."""
    half = len(rows) // 2
    fold = Fold.new(model, target)
    for x, y in rows[:half]:
        fold.learn(x, y)
    try:
        fold = Fold.loads(model, target, fold.dumps(), half)
    except SnapshotError as error:
        return f"cannot be restored from a snapshot: {error}"
    at = _first_difference(fold, rows[half:], answers[half:])
    if at is None:
        return None
    return f"answers differently after a restart from a snapshot (seen {at} examples later); use other parts"


def _first_difference(fold: Fold, rows: list[Row], answers: list[Output]) -> int | None:
    for index, ((x, y), answer) in enumerate(zip(rows, answers, strict=True)):
        if fold.test_then_learn(x, y) != answer:
            return index
    return None


def _unseen(x: Features, optional: list[str], index: int) -> Features:
    """A row near `x` that the log need not hold: with words never learned, and with fewer of the optional features."""
    absent = [name for place, name in enumerate(reversed(optional), 1) if (index + 1) >> (place - 1) & 1 == 0]
    return {name: f"un{v}" if isinstance(v, str) else v for name, v in x.items() if name not in absent}


def _raised_by_user(error: FoldError) -> bool:
    """Whether a function of the user's own raised: it may need values that no made-up row has."""
    frames = traceback.extract_tb(error.__cause__.__traceback__ if error.__cause__ else None)
    return bool(frames) and not frames[-1].filename.startswith((_RIVER, _OURS))
