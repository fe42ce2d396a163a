"""How good a model is for each part of the traffic. Law: each example of a window counts once for each declared field,
also if it has no value, or a rare one, or got no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST = 50
"""Values of a field that are told one by one, the most frequent of each window."""
OTHER = "other"
_NOTHING = (None, "")
_LONGEST = 64
"""Characters of a value that is told; longer ones count as other."""


class Slices:
    """Count and summed loss of the window under way, by the values of the features `fields`.

    Losses are as a race cuts them: at `bound` (1.0 where there is none: the greatest loss of a class), which also
    stands for a missing answer.
    """

    def __init__(self, fields: Sequence[str], bound: float | None = None) -> None:
        self._bound = 1.0 if bound is None else float(bound)
        self._cells: dict[str, dict[Any, list[float]]] = {field: {} for field in fields}
        self._whole = True

    def add(self, x: Mapping[str, Any], loss: float | None) -> None:
        """Take in the next example: its features, and the loss of the answer, None if there was none."""
        cost = self._bound if loss is None or loss > self._bound else loss
        for field, cells in self._cells.items():
            value = x.get(field)
            cell = cells.get(value)
            if cell is None:
                cells[value] = [1, cost]
            else:
                cell[0] += 1
                cell[1] += cost

    def clear(self) -> None:
        """Begin the next window."""
        for cells in self._cells.values():
            cells.clear()
        self._whole = True

    def results(self) -> dict[str, dict[str, Any]]:
        """`count` and mean `loss` by `field=value`, for `slices` of `schemas/metric.avsc`.

        Beyond the `MOST` values that are most frequent (the first to come among equals) all are `field=other`;
        `field=` stands for no value, or an empty one. Of a window that was not seen from its beginning there are none.
        """
        found: dict[str, dict[str, Any]] = {}
        if not self._whole:
            return found
        for field, cells in self._cells.items():
            sums: dict[str, list[float]] = {}
            ranked = sorted(cells.items(), key=lambda item: (item[0] not in _NOTHING, -item[1][0]))
            for place, (value, (count, loss)) in enumerate(ranked):
                text = _text(value)
                name = f"{field}={text if place < MOST and len(text) <= _LONGEST else OTHER}"
                held = sums.setdefault(name, [0, 0.0])
                held[0] += count
                held[1] += loss
            found |= {name: {"count": int(count), "loss": loss / count} for name, (count, loss) in sums.items()}
        return found

    def state(self) -> dict[str, Any]:
        """Plain types, for a snapshot."""
        cells = {field: [(value, *cell) for value, cell in cells.items()] for field, cells in self._cells.items()}
        return {"bound": self._bound, "cells": cells, "whole": self._whole}

    def restore(self, state: Mapping[str, Any] | None, examples: int) -> None:
        """Take over what `state` gave after `examples` of the window under way; None, or that of other slices, tells
        nothing of them."""
        self.clear()
        if state is None or state["bound"] != self._bound or list(state["cells"]) != list(self._cells):
            self._whole = not examples
            return
        for field, cells in state["cells"].items():
            self._cells[field].update((value, [count, loss]) for value, count, loss in cells)
        self._whole = state["whole"]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
