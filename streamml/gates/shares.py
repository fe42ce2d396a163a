"""How one alpha is split among challengers. Law: the shares of a reign add up to at most 1, whoever joins later, so the
chance of any false promotion in it stays at most alpha (a union bound)."""

from __future__ import annotations

RESERVE = 0.25
"""The part that is kept for challengers that join later; all of it where none is there at the start."""


def share(present: int, late: int = 0) -> float:
    """The share of alpha of one challenger.

    Args:
        present: challengers at the start of the reign; they share what is not kept for later ones, equally.
        late: 0 for one of these; k for the k-th that joined later, which gets 1/2^k of what is kept. Who leaves and
            comes back joins anew: its share is spent.

    Raises:
        ValueError: there is no such challenger.
    """
    if present < 0 or late < 0 or not (present or late):
        raise ValueError(f"no challenger {late} among {present} present at the start")
    reserve = RESERVE if present else 1.0
    return reserve * 0.5**late if late else (1 - reserve) / present
