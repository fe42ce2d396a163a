"""The labels that were known when a prediction was made. Law: a baseline sees exactly the labels that its
model had seen."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


class Known:
    """The labels of a log by position: the last `reach` of them one by one, all of them as sums.

    A label is an index among `classes` classes, or a number where `classes` is 0. Its row is what the prior
    is the mean of: one-hot for a class, the number itself otherwise.
    """

    def __init__(self, classes: int, reach: int) -> None:
        self._classes = classes
        self._reach = reach
        self._head = 0
        self._kind = np.dtype("<u2" if classes else "<f8")
        self._recent = np.zeros(0, self._kind)
        self._sums = np.zeros(max(classes, 1))
        self._unit = np.eye(classes)

    def at(self, labels: Floats, positions: Ints | None) -> tuple[Floats, Floats, Ints]:
        """What was known at each of `positions`, for the window whose labels follow next in the log.

        Position p means that the labels 0 to p - 1 were known; None stands for all that come before the
        example itself. A position further back than `reach` is answered with the oldest one that is
        remembered.

        Returns:
            (n,) the last known label; (n, rows) the sum of the rows of all known labels; (n,) how many they
            were. Where none was known the first is NaN.
        """
        heads = np.arange(self._head, self._head + len(labels))
        if positions is None:
            tail = self._recent[-1:]
            return *self._cut(tail, labels, slice(len(tail), len(tail) + len(labels))), heads
        start = self._head - len(self._recent)
        heads = np.minimum(positions, heads)
        heads = np.where(heads > 0, np.maximum(heads, start + 1), 0)
        none = heads == 0
        first = int(heads.min(where=~none, initial=self._head + 1)) - 1
        last, sums = self._cut(self._recent[first - start :], labels, np.maximum(heads - first, 0))
        last[none], sums[none] = np.nan, 0.0
        return last, sums, heads

    def _cut(self, tail: npt.NDArray[Any], labels: Floats, at: Any) -> tuple[Floats, Floats]:
        """The last label and the sums of rows before each index `at` of `tail` and `labels` joined."""
        joined = np.concatenate((tail, labels), dtype=np.float64)
        rows = self._rows(joined)
        sums = np.zeros((len(rows) + 1, rows.shape[1]))
        np.cumsum(rows, axis=0, out=sums[1:])
        sums += self._sums - sums[len(tail)]
        return np.concatenate(((np.nan,), joined))[at], sums[at]

    def append(self, labels: Floats) -> None:
        """The labels of a window that is complete."""
        self._head += len(labels)
        self._sums = self._sums + self._rows(labels).sum(axis=0)
        self._recent = np.concatenate((self._recent, labels.astype(self._kind)))[-self._reach :]

    def state(self) -> dict[str, Any]:
        """Plain types, for a snapshot."""
        return {"head": self._head, "sums": self._sums.tolist(), "recent": self._recent.tobytes()}

    def restore(self, state: dict[str, Any]) -> None:
        self._head = state["head"]
        self._sums = np.array(state["sums"], dtype=np.float64)
        self._recent = np.frombuffer(state["recent"], dtype=self._kind)

    def _rows(self, labels: Floats) -> Floats:
        if not self._classes:
            return labels[:, None]
        return self._unit.take(labels.astype(np.int64), axis=0)
