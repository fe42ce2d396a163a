"""One challenger against the champion of a reign. Law: both are judged on the same positions, all of them, in their
order, from the first window after the challenger joined."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log
from typing import Any

from streamml.errors import SnapshotError
from streamml.gates.confidence import ConfidenceSequence
from streamml.gates.differences import areas, cut
from streamml.gates.eprocess import EProcess
from streamml.gates.results import Results
from streamml.gates.slices import SliceLosses
from streamml.topology import Gate

_MOST = 690.0
"""Evidence is told as at most e^690, about 1e299, so that it is finite."""


class Race:
    """The evidence for one challenger, window by window.

    A difference is the champion's loss less the challenger's, at one position; losses are cut at `gate.bound` and
    divided by it, and a missing answer counts as the greatest loss. With metric `roc_auc` a difference is the
    challenger's AUC of a window less the champion's. H0 is that the mean of each, given the log before it, is at most
    `gate.effect`; `share` is this challenger's part of `gate.alpha`.
    """

    def __init__(self, gate: Gate, share: float, first_window: int) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"a share is {share}, expected more than 0 and at most 1")
        self._gate = gate
        self._bound = 1.0 if gate.bound is None else gate.bound
        self._unit = self._bound if gate.metric == "loss" else 1.0
        self._begin(share, first_window)

    def _begin(self, share: float, first_window: int) -> None:
        self.next_window = first_window
        self._share = share
        self._windows = 0
        self._first = 0
        self._examples = 0
        self._losses = [0.0, 0.0]
        self._bets = EProcess(self._gate.effect / self._unit)
        self._interval = ConfidenceSequence(self._gate.alpha * share)
        self._slices = SliceLosses(self._gate.slices)

    @property
    def share(self) -> float:
        return self._share

    @property
    def examples(self) -> int:
        return self._examples

    def add(self, champion: Results, challenger: Results) -> None:
        """Take in one window of both.

        Raises:
            ValueError: the windows are not the next one, or not of the same positions; nothing was taken in.
        """
        self._check(champion, challenger)
        losses = cut(champion, self._bound), cut(challenger, self._bound)
        differences = losses[0] - losses[1] if self._gate.metric == "loss" else areas(champion, challenger)
        self._bets.add(differences)
        self._interval.add(differences)
        self._slices.add(champion, challenger)
        for place, each in enumerate(losses):
            self._losses[place] += float(each.sum())
        if not self._windows:
            self._first = champion.first_position
        self._windows += 1
        self._examples += champion.count
        self.next_window += 1

    @property
    def decided(self) -> bool:
        """Whether the challenger is better, at this gate's alpha; `harm` may still speak against it. Once true it stays
        true."""
        return self._examples >= self._gate.minimum and self._bets.log_maximum >= self._log_threshold

    def harm(self) -> str | None:
        """One line on the slice that a promotion would harm most; None if it would harm none."""
        return self._slices.harm()

    def evidence(self) -> dict[str, float]:
        """The figures of the race so far, all finite.

        Returns:
            `examples`, `windows`, `first_position`, `last_position`; `e_value` now, `e_maximum` so far, which the gate
            compares to `threshold`, 1 / (alpha * `share`); `mean_difference` with the bounds `lower` and `upper` that
            hold at all times with a chance of 1 - alpha * share; `loss_champion` and `loss_challenger`, means of the
            losses as they were cut; with `slice.field=value.harm` and `.count` for each slice. Differences and losses
            are in units of the loss, differences of metric `roc_auc` in units of the AUC.
        """
        found = {
            "examples": float(self._examples),
            "windows": float(self._windows),
            "e_value": exp(min(self._bets.log_value, _MOST)),
            "e_maximum": exp(min(self._bets.log_maximum, _MOST)),
            "share": self._share,
            "threshold": 1 / (self._gate.alpha * self._share),
        }
        if not self._examples:
            return found
        lower, upper = self._interval.bounds()
        return found | {
            "first_position": float(self._first),
            "last_position": float(self._first + self._examples - 1),
            "mean_difference": self._unit * self._interval.mean,
            "lower": self._unit * lower,
            "upper": self._unit * upper,
            "loss_champion": self._bound * self._losses[0] / self._examples,
            "loss_challenger": self._bound * self._losses[1] / self._examples,
            **self._slices.evidence(),
        }

    def state(self) -> dict[str, Any]:
        """Plain types, also for JSON."""
        return {
            "terms": self._terms(),
            "share": self._share,
            "next_window": self.next_window,
            "windows": self._windows,
            "first": self._first,
            "examples": self._examples,
            "losses": list(self._losses),
            "bets": self._bets.state(),
            "interval": self._interval.state(),
            "slices": self._slices.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave, share and next window included.

        Raises:
            SnapshotError: the differences were of another metric, effect or bound than the gate's now.
        """
        for name, here in self._terms().items():
            if state["terms"][name] != here:
                raise SnapshotError(
                    f"the race was run for {name} {state['terms'][name]}, declared is {here}; begin it anew"
                )
        self._begin(state["share"], state["next_window"])
        self._windows, self._first, self._examples = state["windows"], state["first"], state["examples"]
        self._losses = list(state["losses"])
        self._bets.restore(state["bets"])
        self._interval.restore(state["interval"])
        self._slices.restore(state["slices"])

    def _terms(self) -> dict[str, Any]:
        """What the evidence is about. Alpha and the minimum are not: they only say when it suffices."""
        return {"metric": self._gate.metric, "effect": self._gate.effect, "bound": self._gate.bound}

    @property
    def _log_threshold(self) -> float:
        return -log(self._gate.alpha * self._share)

    def _check(self, champion: Results, challenger: Results) -> None:
        first = self._first + self._examples if self._windows else champion.first_position
        for results in (champion, challenger):
            if results.window != self.next_window:
                raise ValueError(f"window {results.window} of {results.model}, expected is {self.next_window}")
            if (results.first_position, results.count) != (first, champion.count):
                raise ValueError(
                    f"window {results.window} of {results.model} holds {results.count} positions from "
                    f"{results.first_position}, expected are {champion.count} from {first}"
                )
            if len(results.losses) != results.count:
                raise ValueError(
                    f"window {results.window} of {results.model} has {len(results.losses)} losses for "
                    f"{results.count} positions"
                )
