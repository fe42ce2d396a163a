"""Whom a promotion would hurt. Law: a veto, no test: the mean losses so far are compared as they are, so where a slice
is small chance too may hold a promotion back, until more examples have come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamml.gates.results import Results
from streamml.topology import Slice


class SliceLosses:
    """Count and summed loss of champion and challenger, by value of the declared fields."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        self._declared = {each.field: each for each in slices}
        self._sums: dict[str, list[float]] = {}

    def add(self, champion: Results, challenger: Results) -> None:
        for place, results in ((0, champion), (2, challenger)):
            for name, figures in results.slices.items():
                if name.partition("=")[0] in self._declared:
                    sums = self._sums.setdefault(name, [0.0, 0.0, 0.0, 0.0])
                    sums[place] += figures["count"]
                    if figures["count"]:
                        sums[place + 1] += figures["count"] * figures["loss"]

    def harm(self) -> str | None:
        """The slice that is furthest above what is allowed for it, in one line; None if none is above."""
        worst: tuple[float, str] | None = None
        for name, count, champion, challenger in self._means():
            declared, rise = self._declared[name.partition("=")[0]], challenger - champion
            if count >= declared.minimum and rise > declared.harm and (not worst or rise - declared.harm > worst[0]):
                line = (
                    f"{name}: the challenger's mean loss is {challenger:.4g}, the champion's {champion:.4g}: a rise of "
                    f"{rise:.4g} over {count} examples, allowed is {declared.harm:.4g}"
                )
                worst = rise - declared.harm, line
        return worst and worst[1]

    def evidence(self) -> dict[str, float]:
        """`slice.NAME.harm`, the rise of the mean loss (below 0 where it fell), and `slice.NAME.count`, by name."""
        found: dict[str, float] = {}
        for name, count, champion, challenger in self._means():
            found[f"slice.{name}.harm"] = challenger - champion
            found[f"slice.{name}.count"] = float(count)
        return found

    def _means(self) -> Iterator[tuple[str, int, float, float]]:
        """(name, examples, the champion's mean loss, the challenger's), by name."""
        for name, (count, loss, other, others) in sorted(self._sums.items()):
            if count and other:
                yield name, int(min(count, other)), loss / count, others / other

    def state(self) -> dict[str, Any]:
        """Plain numbers, also for JSON."""
        return {name: list(sums) for name, sums in self._sums.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave, of the fields that are still declared."""
        self._sums = {name: list(sums) for name, sums in state.items() if name.partition("=")[0] in self._declared}
