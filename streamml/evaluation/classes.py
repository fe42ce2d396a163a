"""Scores of class predictions: accuracy, kappa, temporal kappa, log loss and ROC AUC. Law: an undefined
metric is absent, never NaN."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np

from streamml.evaluation.known import Floats, Ints, Known
from streamml.evaluation.ranking import BINS, auc, auc_of, histogram

_CLIP = 1e-15
"""A probability is clipped to [1e-15, 1 - 1e-15] before its logarithm is taken, as River's LogLoss does."""


class ClassTally:
    """The confusion matrix, the log loss and the histogram of scores. `area` is the exact ROC AUC, known of
    one window only."""

    def __init__(self, classes: int) -> None:
        self.confusion: Ints = np.zeros((classes, classes), dtype=np.int64)
        self.loss = 0.0
        self.priced = 0
        self.scores: Ints | None = None
        self.area: float | None = None

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float | None:
        count = self.count
        return int(self.confusion.trace()) / count if count else None

    @classmethod
    def of(cls, classes: int, labels: Ints, answers: Ints, chances: Floats | None) -> ClassTally:
        """The tally of a window without its ranking; `chances` are the probabilities that true classes were given."""
        tally = cls(classes)
        cells = np.bincount(labels * classes + answers, minlength=classes * classes)
        tally.confusion = cells.reshape(classes, classes)
        if chances is not None:
            tally.loss = -float(np.log(np.clip(chances, _CLIP, 1 - _CLIP)).sum())
            tally.priced = len(chances)
        return tally

    def rank(self, labels: Ints, probabilities: Floats) -> None:
        """Take in the ranking of a window: (n,) labels and (n, classes) probabilities."""
        self.area = auc(labels, probabilities)
        self.scores = histogram(labels, probabilities)

    def plus(self, other: ClassTally) -> ClassTally:
        both = ClassTally(len(self.confusion))
        both.confusion = self.confusion + other.confusion
        both.loss = self.loss + other.loss
        both.priced = self.priced + other.priced
        if self.scores is None or other.scores is None:
            both.scores = other.scores if self.scores is None else self.scores
        else:
            both.scores = self.scores + other.scores
        return both

    def metrics(self, no_change: ClassTally | None = None) -> dict[str, float]:
        """Accuracy; kappa (Cohen 1960); kappa_t, the gain over no-change as a share of the most that could be
        gained (Zliobaite, Bifet, Read, Pfahringer & Holmes 2015); log_loss in nats; roc_auc, of a window
        exact, of more a binned estimate."""
        count = self.count
        if not count:
            return {}
        accuracy = int(self.confusion.trace()) / count
        found: dict[str, float | None] = {"accuracy": accuracy}
        said, true = self.confusion.sum(axis=0).tolist(), self.confusion.sum(axis=1).tolist()
        chance = sum(map(operator.mul, said, true)) / count**2
        found["kappa"] = (accuracy - chance) / (1 - chance) if chance < 1 else None
        if no_change is not None and (repeated := no_change.accuracy) is not None and repeated < 1:
            found["kappa_t"] = (accuracy - repeated) / (1 - repeated)
        if self.priced:
            found["log_loss"] = self.loss / self.priced
        found["roc_auc"] = auc_of(self.scores) if self.area is None and self.scores is not None else self.area
        return {name: value for name, value in found.items() if value is not None}

    def state(self) -> dict[str, Any]:
        scores = None if self.scores is None else self.scores.ravel().tolist()
        return {
            "confusion": self.confusion.tolist(),
            "loss": self.loss,
            "priced": self.priced,
            "scores": scores,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.confusion = np.array(state["confusion"], dtype=np.int64)
        self.loss = state["loss"]
        self.priced = state["priced"]
        scores = state["scores"]
        self.scores = None if scores is None else np.array(scores, dtype=np.int64).reshape(-1, 2, BINS)


class ClassWindow:
    """The examples of one window. Outputs are `{"label": class or None, "probabilities": {str(class): p}}`,
    with the classes in declared order, or with no probabilities at all."""

    def __init__(self, classes: Sequence[str | int | bool]) -> None:
        self._index: dict[Any, int] = {label: number for number, label in enumerate(classes)}
        self._index[None] = -1
        self._rows = len(classes)
        self.truth = array("h")
        self._answers = array("h")
        self._chances: list[float] = []
        self._hear, self._note, self._weigh = self.truth.append, self._answers.append, self._chances.extend
        self._unknown = (nan,) * self._rows

    @property
    def rows(self) -> int:
        return self._rows

    def add(self, y: Any, output: Mapping[str, Any]) -> float | None:
        index = self._index
        answer = output["label"]
        probabilities = output["probabilities"]
        self._hear(index[y])
        self._note(index[answer])
        self._weigh(probabilities.values() if len(probabilities) == self._rows else self._unknown)
        return None if answer is None else 0.0 if answer == y else 1.0

    def clear(self) -> None:
        del self.truth[:], self._answers[:], self._chances[:]

    def empty(self) -> ClassTally:
        return ClassTally(self._rows)

    def labels(self) -> Floats:
        return self._codes(self.truth).astype(np.float64)

    def losses(self) -> list[float | None]:
        wrong: list[float | None] = (self._codes(self.truth) != self._codes(self._answers)).astype(np.float64).tolist()
        for place in np.flatnonzero(self._codes(self._answers) < 0).tolist():
            wrong[place] = None
        return wrong

    def tallies(self, known: Known, positions: Ints | None) -> tuple[ClassTally, ClassTally, ClassTally]:
        classes = self._rows
        truth, answers = self._codes(self.truth), self._codes(self._answers)
        probabilities = np.array(self._chances, dtype=np.float64).reshape(-1, classes).clip(0.0, 1.0)
        last, counts, heads = known.at(self.labels(), positions)
        if answers.min(initial=0) < 0:
            scored = answers >= 0
            truth, answers, probabilities = truth[scored], answers[scored], probabilities[scored]
            last, counts, heads = last[scored], counts[scored], heads[scored]

        each = np.arange(len(truth))
        chances = probabilities[each, truth]
        if np.isnan(probabilities.sum()):
            priced = ~np.isnan(probabilities).any(axis=1)
            model = ClassTally.of(classes, truth, answers, chances[priced])
            model.rank(truth[priced], probabilities[priced])
        else:
            model = ClassTally.of(classes, truth, answers, chances)
            model.rank(truth, probabilities)

        if heads.min(initial=1) == 0:
            seen = heads > 0
            truth, last, counts, heads = truth[seen], last[seen], counts[seen], heads[seen]
            each = each[: len(truth)]
        no_change = ClassTally.of(classes, truth, last.astype(np.int64), None)
        prior = ClassTally.of(classes, truth, counts.argmax(axis=1), counts[each, truth] / heads)
        return model, no_change, prior

    @staticmethod
    def _codes(codes: array[int]) -> Ints:
        return np.frombuffer(codes, dtype=np.int16).astype(np.int64)

    def state(self) -> dict[str, Any]:
        return {"truth": self.truth.tolist(), "answers": self._answers.tolist(), "chances": list(self._chances)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.clear()
        self.truth.extend(state["truth"])
        self._answers.extend(state["answers"])
        self._chances.extend(state["chances"])
