"""Area under the ROC curve. Law: exact where the scores are at hand; where only a histogram is kept, the bins
bound the error."""

from __future__ import annotations

import numpy as np

from streamml.evaluation.known import Floats, Ints

BINS = 512
_REACH = 16.0
"""Scores are binned by their log-odds, clipped to +-16: evenly spaced bins of the probability would lump the
confident ones."""


def columns(classes: int) -> int:
    """How many one-against-rest rankings there are: one for two classes (they mirror each other), else one
    for each class."""
    return 1 if classes == 2 else classes


def auc(labels: Ints, probabilities: Floats) -> float | None:
    """The exact area by ranks, ties counting half (Hanley & McNeil 1982); for more than two classes the mean
    over the classes, each against the rest.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes).

    Returns:
        None where it is undefined: no class stands with both its own and other examples.
    """
    classes = probabilities.shape[1]
    areas = []
    for column in range(classes - columns(classes), classes):
        own = labels == column
        positive = probabilities[own, column]
        negative = np.sort(probabilities[~own, column])
        pairs = len(positive) * len(negative)
        if pairs:
            below = np.searchsorted(negative, positive, "left").sum()
            upto = np.searchsorted(negative, positive, "right").sum()
            areas.append(float(below + upto) / (2 * pairs))
    return sum(areas) / len(areas) if areas else None


def histogram(labels: Ints, probabilities: Floats) -> Ints:
    """(columns, 2, BINS): how many examples of the other classes [0] and of the class itself [1] scored in
    each bin."""
    classes = probabilities.shape[1]
    count = columns(classes)
    scores = probabilities[:, classes - count :]
    with np.errstate(divide="ignore"):
        odds = np.log(scores) - np.log1p(-scores)
    bins = ((np.clip(odds, -_REACH, _REACH) + _REACH) * ((BINS - 1) / (2 * _REACH)) + 0.5).astype(np.int64)
    ranked = np.arange(classes - count, classes)
    own = labels[:, None] == ranked
    cells = ((ranked - ranked[0]) * 2 + own) * BINS + bins
    return np.bincount(cells.ravel(), minlength=count * 2 * BINS).reshape(count, 2, BINS)


def auc_of(binned: Ints) -> float | None:
    """The area from `histogram`: a streaming estimate, wrong by at most half the share of the pairs that
    share a bin."""
    others, own = binned[:, 0], binned[:, 1]
    pairs = own.sum(axis=1) * others.sum(axis=1)
    ranked = pairs > 0
    if not ranked.any():
        return None
    below = np.cumsum(others, axis=1) - others / 2
    areas = (own * below).sum(axis=1)[ranked] / pairs[ranked]
    return float(areas.mean())
