"""Scores of numeric predictions: MAE, RMSE and R2. Law: an undefined metric is absent, never NaN."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, sqrt
from typing import Any

import numpy as np

from streamml.evaluation.known import Floats, Ints, Known


class ValueTally:
    """Sums of errors, and the mean and spread of the labels (merged as by Chan, Golub & LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.absolute = 0.0
        self.squared = 0.0
        self.mean = 0.0
        self.spread = 0.0

    @classmethod
    def of(cls, labels: Floats, answers: Floats) -> ValueTally:
        """The tally of a window: (n,) labels and (n,) answers, all finite."""
        tally = cls()
        tally.count = len(labels)
        if tally.count:
            errors = labels - answers
            tally.absolute = float(np.abs(errors).sum())
            tally.squared = float(errors @ errors)
            tally.mean = float(labels.mean())
            deviations = labels - tally.mean
            tally.spread = float(deviations @ deviations)
        return tally

    def plus(self, other: ValueTally) -> ValueTally:
        both = ValueTally()
        both.count = self.count + other.count
        both.absolute = self.absolute + other.absolute
        both.squared = self.squared + other.squared
        if both.count:
            gap = other.mean - self.mean
            both.mean = self.mean + gap * other.count / both.count
            both.spread = self.spread + other.spread + gap * gap * self.count * other.count / both.count
        return both

    def metrics(self, no_change: ValueTally | None = None) -> dict[str, float]:
        """mae and rmse in the label's unit; r2 against the labels' own mean over the same examples, undefined
        where they are all equal."""
        if not self.count:
            return {}
        found = {"mae": self.absolute / self.count, "rmse": sqrt(self.squared / self.count)}
        if self.spread > 0:
            found["r2"] = 1 - self.squared / self.spread
        return {name: value for name, value in found.items() if isfinite(value)}

    def state(self) -> dict[str, Any]:
        return dict(vars(self))

    def restore(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)


class ValueWindow:
    """The examples of one window. Outputs are `{"value": number or None}`; one that is not finite is no
    answer."""

    rows = 0

    def __init__(self) -> None:
        self.truth: list[float] = []
        self._answers: list[float | None] = []
        self._losses: list[float | None] = []

    def add(self, y: Any, output: Mapping[str, Any]) -> float | None:
        answer = output["value"]
        loss: float | None = None
        if answer is not None:
            loss = abs(y - answer)
            if loss - loss != 0:  # infinite or NaN
                loss = answer = None
        self.truth.append(y)
        self._answers.append(answer)
        self._losses.append(loss)
        return loss

    def clear(self) -> None:
        del self.truth[:], self._answers[:], self._losses[:]

    def empty(self) -> ValueTally:
        return ValueTally()

    def labels(self) -> Floats:
        return np.array(self.truth, dtype=np.float64)

    def losses(self) -> list[float | None]:
        return list(self._losses)

    def tallies(self, known: Known, positions: Ints | None) -> tuple[ValueTally, ValueTally, ValueTally]:
        truth = self.labels()
        answers = np.array(self._answers, dtype=np.float64)
        last, sums, heads = known.at(truth, positions)
        scored = ~np.isnan(answers)
        model = ValueTally.of(truth[scored], answers[scored])
        seen = scored & (heads > 0)
        no_change = ValueTally.of(truth[seen], last[seen])
        prior = ValueTally.of(truth[seen], sums[seen, 0] / heads[seen])
        return model, no_change, prior

    def state(self) -> dict[str, Any]:
        return {"truth": list(self.truth), "answers": list(self._answers), "losses": list(self._losses)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.clear()
        self.truth.extend(state["truth"])
        self._answers.extend(state["answers"])
        self._losses.extend(state["losses"])
