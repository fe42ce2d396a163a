"""Bounds on a mean that hold at all times at once. Law: what is bounded is the mean of the conditional means so far, so
a drift does not break the bounds."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log
from typing import Any

import numpy as np
import numpy.typing as npt

from streamml.gates.differences import in_range

_RATES = 0.9 * 0.5 ** np.arange(12)
_COSTS = -np.log1p(-_RATES) - _RATES
_PRICE = log(len(_RATES))


class ConfidenceSequence:
    """Lower and upper bounds for the running mean of differences in [-1, 1].

    The empirical-Bernstein confidence sequence of Howard, Ramdas, McAuliffe & Sekhon (2021, theorem 4), with a discrete
    mixture of exponential supermartingales over fixed rates. With a chance of at least 1 - alpha the mean over i <= n
    of E[d_i | the differences before it] is within the bounds at every n. Unlike those of a betting interval these
    means may differ from one another; for the same reason bounds of earlier n are not carried on.

    State: a count and two sums. The bounds do not depend on how the differences are cut into arrays.
    """

    def __init__(self, alpha: float) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha is {alpha}, expected a number between 0 and 1")
        self._alpha = alpha
        self._count = 0
        self._sum = 0.0
        self._spread = 0.0

    @property
    def count(self) -> int:
        return self._count

    @property
    def mean(self) -> float:
        """The mean of the differences so far; 0.0 of none."""
        return 2 * self._sum / self._count - 1 if self._count else 0.0

    def add(self, differences: npt.ArrayLike) -> None:
        """Take in (n,) differences in their order.

        Raises:
            ValueError: one is not within [-1, 1]; nothing was taken in.
        """
        units = (in_range(differences) + 1) / 2
        if not len(units):
            return
        sums = np.cumsum(np.concatenate(((self._sum,), units)))
        counts = np.arange(self._count, self._count + len(units))
        guesses = (sums[:-1] + 0.5) / (counts + 1)  # of each one from those before it
        self._spread = float(np.cumsum(np.concatenate(((self._spread,), (units - guesses) ** 2)))[-1])
        self._sum = float(sums[-1])
        self._count += len(units)

    def bounds(self) -> tuple[float, float]:
        """(lower, upper); (-1.0, 1.0) before the first difference."""
        if not self._count:
            return -1.0, 1.0
        reach = 2 * boundary(self._spread, self._alpha / 2) / self._count
        return max(self.mean - reach, -1.0), min(self.mean + reach, 1.0)

    def state(self) -> dict[str, Any]:
        """Plain numbers, also for JSON."""
        return {"count": self._count, "sum": self._sum, "spread": self._spread}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        self._count, self._sum, self._spread = state["count"], state["sum"], state["spread"]


def boundary(spread: float, alpha: float) -> float:
    """What the sum of n numbers in [0, 1] less their conditional means exceeds at any n with a chance of at most
    `alpha`, where `spread` is the sum of their squared distances from guesses made before each.

    It is the s at which the mean of exp(rate * s - cost * spread) over the rates is 1/alpha, where cost(rate) is
    -log(1 - rate) - rate (Fan, Grama & Liu 2015).
    """
    level = log(1 / alpha) + _PRICE
    # One rate alone gives a bound that is too wide: Newton's steps go down from it and cannot miss, as the logarithm
    # of the mixture is convex and rises.
    above, s = inf, float(((level + _COSTS * spread) / _RATES).min())
    while s < above:
        exponents = _RATES * s - _COSTS * spread
        weights = np.exp(exponents - exponents.max())
        excess = float(exponents.max() + np.log(weights.sum())) - level
        above, s = s, s - excess / float((weights * _RATES).sum() / weights.sum())
    return above
