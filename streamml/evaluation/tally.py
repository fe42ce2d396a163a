"""What a window gathers, and what its scores are summed up in. Law: a tally is a sum over examples, so the
tallies of two windows add up to that of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from streamml.evaluation.known import Floats, Ints, Known

T = TypeVar("T")


class Tally(Protocol):
    """Sums over scored examples, and the metrics that follow from them."""

    @property
    def count(self) -> int: ...

    def plus(self: T, other: T) -> T: ...

    def metrics(self: T, no_change: T | None = None) -> dict[str, float]:
        """The metrics that are defined, all finite. `no_change` is the tally of that baseline over the same
        examples."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Window(Protocol):
    """The examples of the window under way."""

    @property
    def rows(self) -> int:
        """For `Known`: the number of classes, 0 for numbers."""

    @property
    def truth(self) -> Sequence[float]:
        """The labels as they are gathered: always the same object, cleared after each window."""

    def add(self, y: Any, output: Mapping[str, Any]) -> float | None:
        """Take in one example and return its loss; None if there was no answer."""

    def clear(self) -> None: ...

    def empty(self) -> Tally: ...

    def labels(self) -> Floats:
        """(n,) class indices, or the numbers themselves."""

    def losses(self) -> list[float | None]: ...

    def tallies(self, known: Known, positions: Ints | None) -> tuple[Tally, Tally, Tally]:
        """The tallies of the model, of the no-change and of the prior baseline over the scored examples.

        A baseline leaves out the examples for which it knew no label yet.
        """

    def state(self) -> dict[str, Any]:
        """Plain types, for a snapshot."""

    def restore(self, state: Mapping[str, Any]) -> None: ...
