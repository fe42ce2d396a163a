"""The predictions as they were served, labels late and all. Law: a baseline knows what the model knew when it
answered, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamml.evaluation.windows import Windows
from streamml.topology import Target


class ServedPrequential(Windows):
    """Results of served predictions, in the order in which their labels completed them as examples.

    A prediction made at position p had the labels of the examples 0 to p - 1 behind it. So `no_change`
    answers with the label at p - 1, not with that of the example before (which nobody knew yet), and `prior`
    with the shares or the mean of the first p.

    The last `reach` labels are remembered one by one; a prediction older than that is compared with the
    oldest one remembered.
    """

    def __init__(self, target: Target, window: int, reach: int = 100_000) -> None:
        super().__init__(target, window, reach)

    def add(self, y: Any, output: Mapping[str, Any], position: int) -> float | None:
        """Score the served `output`, made by a model that had learned `position` examples, against `y`.

        Returns the loss, as `Prequential.add` does; call `close` after each.
        """
        self._positions.append(position)
        return self._now.add(y, output)
