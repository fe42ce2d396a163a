"""Test, then train, in the order of the log (Dawid 1984). Law: each example is scored before anything has
been learned from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamml.evaluation.windows import Windows
from streamml.topology import Target


class Prequential(Windows):
    """A model's results over its own log, where all earlier labels are known to it and to both baselines.

    `no_change` repeats the label of the example before; `prior` says the most frequent class so far, with the
    classes' shares as probabilities, or the mean so far. All are scored over the same examples: those for
    which the model had an answer.
    """

    add: Callable[[Any, Mapping[str, Any]], float | None]
    """`add(y, output)` scores what the model said before it learned the label `y`; call `close` after each.

    `y` is a declared class or a finite number; `output` is `{"label", "probabilities"}`, classes in declared
    order, or `{"value"}`. Returns the loss: 0 or 1 for classes, the absolute error for numbers, None if there
    was no answer.
    """

    def __init__(self, target: Target, window: int) -> None:
        super().__init__(target, window, reach=1)

    def _start(self, classes: tuple[str | int | bool, ...], size: int, reach: int) -> None:
        super()._start(classes, size, reach)
        self.add = self._now.add  # the hot path: no call of ours in between
