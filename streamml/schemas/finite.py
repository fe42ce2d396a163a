"""Numbers that a model can live with. Law: every float of an event is finite and its square is finite too.

One 1e308 is enough to make a scaler, and with it a model, answer NaN for ever: its variance overflows. So the bound
is on the magnitude.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamml.errors import DecodeError

LIMIT = 1e150
"""The largest magnitude that is accepted: about the square root of the largest double."""


def refuse_unfit(paths: Sequence[str], numbers: Sequence[float]) -> None:
    """Raise DecodeError `finite` for the first number that is NaN, infinite or beyond `LIMIT`; return if there is
    none."""
    for path, number in zip(paths, numbers, strict=True):
        if not -LIMIT <= number <= LIMIT:
            raise DecodeError(
                "finite", f"field {path} is {number!r}; expected a finite number of magnitude at most {LIMIT:g}", path
            )
