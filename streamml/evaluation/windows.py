"""Results by fixed windows of positions. Law: window k holds the positions k * size to (k + 1) * size - 1,
whatever restarts in between."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamml.errors import SnapshotError
from streamml.evaluation.classes import ClassWindow
from streamml.evaluation.known import Ints, Known
from streamml.evaluation.tally import Tally, Window
from streamml.evaluation.values import ValueWindow
from streamml.topology import Classification, Target


class Windows:
    """The examples of the window under way, and the tallies of all windows before it.

    A pickle of it is made of plain types only (numbers, strings, bytes, lists, dicts) beside the class
    itself.
    """

    def __init__(self, target: Target, size: int, reach: int) -> None:
        self._start(target.classes if isinstance(target, Classification) else (), size, reach)

    def _start(self, classes: tuple[str | int | bool, ...], size: int, reach: int) -> None:
        now: Window = ClassWindow(classes) if classes else ValueWindow()
        self._classes = classes
        self._size = size
        self._reach = reach
        self._now = now
        self._truth = now.truth
        self._known = Known(now.rows, reach)
        self._sums: tuple[Tally, Tally, Tally] = (now.empty(), now.empty(), now.empty())
        self._closed = self._lead = 0
        self._positions: list[int] = []

    @property
    def position(self) -> int:
        """Examples added so far."""
        return self._closed * self._size + self._lead + len(self._truth)

    def begin(self, position: int) -> None:
        """Leave out all positions before this one; the window that it falls into may be a short one."""
        self._closed, self._lead = divmod(position, self._size)

    def close(self) -> dict[str, Any] | None:
        """The results of the window under way if it is full, and the next one begins; None if it is not.

        Returns:
            The fields of `schemas/metric.avsc` but for the model, its digest and the time.
        """
        if len(self._truth) < self._size - self._lead:
            return None
        record, self._sums = self._results()
        self._known.append(self._now.labels())
        self._closed += 1
        self._lead = 0
        self._now.clear()
        self._positions.clear()
        return record

    def so_far(self) -> dict[str, Any]:
        """The results of the window under way, full or not, as `close` would give them; changes nothing."""
        return self._results()[0]

    def _results(self) -> tuple[dict[str, Any], tuple[Tally, Tally, Tally]]:
        positions: Ints | None = np.array(self._positions, dtype=np.int64) if self._positions else None
        model, no_change, prior = self._now.tallies(self._known, positions)
        sums = self._sums[0].plus(model), self._sums[1].plus(no_change), self._sums[2].plus(prior)
        record = {
            "window": self._closed,
            "first_position": self._closed * self._size + self._lead,
            "count": len(self._truth),
            "scored": model.count,
            "metrics": model.metrics(no_change),
            "cumulative": sums[0].metrics(sums[1]),
            "baselines": {"no_change": no_change.metrics(), "prior": prior.metrics()},
            "baselines_cumulative": {"no_change": sums[1].metrics(), "prior": sums[2].metrics()},
            "losses": self._now.losses(),
            "slices": {},
        }
        return record, sums

    def state(self) -> dict[str, Any]:
        """Plain types (numbers, strings, bytes, lists, tuples, dicts), for a snapshot."""
        return {
            "classes": self._classes,
            "size": self._size,
            "reach": self._reach,
            "closed": self._closed,
            "lead": self._lead,
            "now": self._now.state(),
            "positions": list(self._positions),
            "known": self._known.state(),
            "sums": [tally.state() for tally in self._sums],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            SnapshotError: the classes or the window have been declared otherwise since.
        """
        declared = {"classes": self._classes, "size": self._size, "reach": self._reach}
        for name, here in declared.items():
            if state[name] != here:
                raise SnapshotError(
                    f"the results were kept for {name} {state[name]}, declared is {here}; replay the log"
                )
        self._start(self._classes, self._size, self._reach)
        self._closed, self._lead = state["closed"], state.get("lead", 0)
        self._now.restore(state["now"])
        self._positions.extend(state["positions"])
        self._known.restore(state["known"])
        for tally, kept in zip(self._sums, state["sums"], strict=True):
            tally.restore(kept)

    def __getstate__(self) -> dict[str, Any]:
        return self.state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._start(state["classes"], state["size"], state["reach"])
        self.restore(state)
