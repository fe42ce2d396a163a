"""Evidence that a mean is above a bound, by betting. Law: as long as the bound holds nobody can be expected to win, so
a wealth of 1/alpha is reached with a chance of at most alpha, however long one plays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from streamml.gates.differences import Floats, in_range

_BETS = 0.9 * 0.5 ** np.arange(10)
"""Shares of the greatest stake that cannot lose everything. The best stake is near mean / variance: these reach
from one-sided differences down to 0.002. A ratio of 2 costs at most an eighth of the best rate of growth."""


class EProcess:
    """A test supermartingale for H0: the mean of each difference, given all that came before it, is at most `m`.

    The wealth is the mean over ten fixed stakes of prod(1 + stake * (d - m)): the betting of Waudby-Smith & Ramdas
    (2024) with the mixture of Cover's universal portfolio (1991) over a grid. Under H0 its expectation never
    rises, so the chance that its running maximum ever reaches 1/alpha is at most alpha (Ville 1939).

    Differences lie in [-1, 1]; `m` lies between. The value does not depend on how the differences are cut into
    arrays, to the last bit.
    """

    def __init__(self, m: float = 0.0) -> None:
        if not -1 < m < 1:
            raise ValueError(f"m is {m}, expected a number between -1 and 1")
        self._m = m
        self._stakes = _BETS / (1 + m)
        self._logs: Floats = np.zeros(len(_BETS))
        self._maximum = 0.0

    @property
    def log_value(self) -> float:
        """The natural logarithm of the wealth now."""
        return float(_log_mean(self._logs[:, None])[0])

    @property
    def log_maximum(self) -> float:
        """The greatest that `log_value` was after any single difference; 0.0 at the start."""
        return self._maximum

    def add(self, differences: npt.ArrayLike) -> None:
        """Take in (n,) differences in their order.

        Raises:
            ValueError: one is not within [-1, 1]; nothing was taken in.
        """
        gains = in_range(differences) - self._m
        gains = gains[gains != 0]  # a stake on nothing changes nothing, and most paired losses are equal
        if not len(gains):
            return
        steps = np.empty((len(self._stakes), len(gains) + 1))
        steps[:, 0] = self._logs
        np.log1p(np.multiply.outer(self._stakes, gains), out=steps[:, 1:])
        path = steps.cumsum(axis=1)
        self._logs = path[:, -1].copy()
        self._maximum = max(self._maximum, float(_log_mean(path[:, 1:]).max()))

    def state(self) -> dict[str, Any]:
        """Plain numbers, also for JSON."""
        return {"logs": self._logs.tolist(), "maximum": self._maximum}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        self._logs = np.array(state["logs"], dtype=np.float64)
        self._maximum = state["maximum"]


def _log_mean(logs: Floats) -> Floats:
    """(n,) logarithms of the means of the columns of exp(logs)."""
    peaks: Floats = logs.max(axis=0)
    means: Floats = peaks + np.log(np.exp(logs - peaks).mean(axis=0))
    return means
