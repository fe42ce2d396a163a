"""Test, then train, in the order of the log (Dawid 1984). Law: each example is scored before anything has
been learned from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamml.evaluation.slices import Slices
from streamml.evaluation.tally import Tally
from streamml.evaluation.windows import Windows
from streamml.topology import Gate, Target


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

    slices: Slices | None
    """Where the gate declares any: to be told of each example and its loss, after `add` and before `close`."""

    def __init__(self, target: Target, window: int, gate: Gate | None = None) -> None:
        fields = [part.field for part in gate.slices] if gate is not None else []
        self.slices = Slices(fields, gate.bound) if gate is not None and fields else None
        super().__init__(target, window, reach=1)

    def _start(self, classes: tuple[str | int | bool, ...], size: int, reach: int) -> None:
        super()._start(classes, size, reach)
        self.add = self._now.add  # the hot path: no call of ours in between

    def close(self) -> dict[str, Any] | None:
        record = super().close()
        if record is not None and self.slices is not None:
            self.slices.clear()
        return record

    def _results(self) -> tuple[dict[str, Any], tuple[Tally, Tally, Tally]]:
        record, sums = super()._results()
        return (record if self.slices is None else {**record, "slices": self.slices.results()}), sums

    def state(self) -> dict[str, Any]:
        state = super().state()
        return state if self.slices is None else {**state, "slices": self.slices.state()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if self.slices is not None:
            self.slices.restore(state.get("slices"), len(self._truth))

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = state.get("slices")
        self.slices = None if kept is None else Slices(list(kept["cells"]), kept["bound"])
        super().__setstate__(state)
