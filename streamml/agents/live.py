"""The models that serve, by reference. Law: a model shown here is whole: whoever changes one holds its lock (see
`Task.uses`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streamml.models import Features, Fold, FoldError, Output


def answer(fold: Fold, x: Features) -> Output:
    """What the model says of `x`; a model that cannot answer says nothing, in the same way each time it is rebuilt."""
    try:
        return fold.predict(x)
    except FoldError:
        return fold.no_answer


class LiveModels:
    """The folds of this process by name, and which of them is the champion.

    `behind(name)` says how many examples the log holds that the model has not learned, as far as this process knows; a
    runtime sets it.
    """

    def __init__(self, champion: str) -> None:
        self.champion = champion
        self.behind: Callable[[str], int] = lambda name: 0
        self.on_change: list[Callable[[], None]] = []
        self._folds: dict[str, Fold] = {}

    def lead(self, fold: Fold) -> None:
        """The learner in this process shows its own model; it replaces whatever was there."""
        self._folds[fold.name] = fold
        self._changed()

    def follow(self, fold: Fold) -> bool:
        """A model loaded from a snapshot; taken only if it is ahead of the one shown."""
        shown = self._folds.get(fold.name)
        if shown is not None and shown.position >= fold.position:
            return False
        self._folds[fold.name] = fold
        self._changed()
        return True

    def promote(self, name: str) -> None:
        """From the next batch on, `name` serves."""
        if name != self.champion:
            self.champion = name
            self._changed()

    def get(self, name: str) -> Fold | None:
        return self._folds.get(name)

    def position(self, name: str) -> int:
        """Examples learned by the model shown; -1 where none is."""
        fold = self._folds.get(name)
        return -1 if fold is None else fold.position

    def __iter__(self) -> Iterator[Fold]:
        return iter(self._folds.values())

    def _changed(self) -> None:
        for call in self.on_change:
            call()
