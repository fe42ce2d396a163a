"""By how much the challenger did better than the champion. Law: always within [-1, 1], whatever the models said: what
is missing counts against the model that owes it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streamml.gates.results import Results

Floats: TypeAlias = npt.NDArray[np.float64]

_CHANCE = 0.5
"""The ROC AUC of a model without one beside a model that has one."""


def cut(results: Results, bound: float) -> Floats:
    """(count,) losses in [0, 1]: cut at `bound` and divided by it; a missing answer is 1.0."""
    losses = np.array(results.losses, dtype=np.float64) / bound
    losses[np.isnan(losses)] = 1.0  # None became NaN
    return losses.clip(0.0, 1.0)


def areas(champion: Results, challenger: Results) -> Floats:
    """(1,) the challenger's ROC AUC less the champion's; 0.0 where neither has one."""
    ours, theirs = champion.metrics.get("roc_auc"), challenger.metrics.get("roc_auc")
    if ours is None and theirs is None:
        return np.zeros(1)
    return np.array([(_CHANCE if theirs is None else theirs) - (_CHANCE if ours is None else ours)])


def in_range(differences: npt.ArrayLike) -> Floats:
    """(n,) differences as floats; ValueError if one is not within [-1, 1]."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) and not (values.min() >= -1 and values.max() <= 1):
        wrong = values[~(np.abs(values) <= 1)][0]
        raise ValueError(f"a difference is {wrong}, expected numbers in [-1, 1]")
    return values
