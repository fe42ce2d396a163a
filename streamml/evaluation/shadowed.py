"""What was served, and what the shadows said beside it. Law: all are scored over the same windows of the log, so that
their results can be laid side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamml.evaluation.served import ServedPrequential
from streamml.topology import Classification, Target

_OF_THE_LOG = "known"
"""The part of a state that follows from the labels alone: kept once, for the champion."""

Shadows = Sequence[Mapping[str, Any]]
"""Of one prediction: the records Shadow of `schemas/prediction.avsc`."""


class ShadowedPrequential:
    """Served results of whatever was the champion, and of each shadow by name.

    A shadow's results begin with its first whole window: the one that its first answer opens, else the next one. Where
    it was not asked it has no answer. After a window in which it was never asked it is forgotten.
    """

    def __init__(self, target: Target, window: int, reach: int) -> None:
        self._new: Callable[[], ServedPrequential] = lambda: ServedPrequential(target, window, reach)
        classes = isinstance(target, Classification)
        self._nothing: dict[str, Any] = {"label": None, "probabilities": {}} if classes else {"value": None}
        self._served = self._new()
        self._size = window
        self._shadows: dict[str, ServedPrequential] = {}
        self._asked: set[str] = set()
        """In the window under way."""

    def add(self, y: Any, output: Mapping[str, Any], position: int, shadows: Shadows) -> float | None:
        """Score what was served, as `ServedPrequential.add` does, and what the shadows said; call `close` after
        each."""
        if shadows or self._shadows:
            self._add(y, position, shadows)
        return self._served.add(y, output, position)

    def close(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]] | None:
        """(what was served, what each shadow said), as `Windows.close` gives them; None if the window is not full."""
        closed = self._served.close()
        if closed is None:
            return None
        found: dict[str, dict[str, Any]] = {}
        for name, results in self._shadows.items():
            record = results.close()
            if record is not None and name in self._asked:
                found[name] = record
        self._shadows = {name: self._shadows.get(name) or self._beside() for name in sorted(self._asked)}
        self._asked.clear()
        return closed, found

    def _add(self, y: Any, position: int, shadows: Shadows) -> None:
        said = {shadow["model"]: shadow for shadow in shadows}
        self._asked.update(said)
        if self._served.position % self._size == 0:
            self._shadows |= {name: self._beside() for name in said if name not in self._shadows}
        for name, results in self._shadows.items():
            if (shadow := said.get(name)) is not None:
                results.add(y, shadow["output"], shadow["position"])
            else:
                results.add(y, self._nothing, position)

    def _beside(self) -> ServedPrequential:
        """Results at the same place in the log, of one that has said nothing yet."""
        results = self._new()
        results.restore({**self._served.state(), "sums": results.state()["sums"]})
        return results

    def state(self) -> dict[str, Any]:
        """Plain types, for a snapshot."""
        own = {name: results.state() for name, results in self._shadows.items()}
        return {
            **self._served.state(),
            "shadows": {name: {**state, _OF_THE_LOG: None} for name, state in own.items()},
            "asked": sorted(self._asked),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave; that of a `ServedPrequential` is one without shadows.

        Raises:
            SnapshotError: see `Windows.restore`.
        """
        self._served.restore(dict(state))
        self._shadows = {name: self._new() for name in state.get("shadows", {})}
        for name, results in self._shadows.items():
            results.restore({**state["shadows"][name], _OF_THE_LOG: state[_OF_THE_LOG]})
        self._asked = set(state.get("asked", ()))
