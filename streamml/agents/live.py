"""The models that serve, by reference. Law: a model shown here is whole: whoever changes one holds its lock (see
`Task.uses`), and takes it away before anyone can ask it once it has raised on learn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

from streamml.errors import StateLost
from streamml.models import Features, Fold, FoldError, Output, SpentError


class NotReady(StateLost):
    """The champion is being built anew and nothing was done: step the same records again once `ready` has returned."""

    def __init__(self, message: str, ready: Callable[[], Awaitable[None]]) -> None:
        super().__init__(message)
        self.ready = ready


def answer(fold: Fold, x: Features) -> Output:
    """What the model says of `x`; a model that cannot answer says nothing, in the same way each time it is rebuilt.

    Raises:
        SpentError: the fold is spent, so that this would not be what the model says.
    """
    try:
        return fold.predict(x)
    except SpentError:
        raise
    except FoldError:
        return fold.no_answer


class LiveModels:
    """The folds of this process by name, and which of them is the champion: as it learns on, or pinned at a position.

    `shadowing` names the models whose answers are served beside the champion's, while they are not it.
    `behind(name)` says how many examples the log holds that the model has not learned, as far as this process knows; a
    runtime sets it. `on_change` is called at each change, perhaps from another thread. `refused` counts the snapshots
    that this process should have served and refused as forged; `told` of them are in committed reports.
    """

    def __init__(self, champion: str, shadowing: Iterable[str] = ()) -> None:
        self.champion = champion
        self._shadowing = tuple(shadowing)
        self._pinned: Fold | None = None
        self.behind: Callable[[str], int] = lambda name: 0
        self.on_change: list[Callable[[], None]] = []
        self.refused = self.told = 0
        self._folds: dict[str, Fold] = {}
        self._furthest: dict[str, int] = {}

    def lead(self, fold: Fold) -> None:
        """The learner in this process shows its own model; it replaces whatever was there."""
        self._furthest[fold.name] = self.furthest(fold.name)
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

    def withdraw(self, name: str, head: int) -> None:
        """The model is spent: nothing is shown until its learner has built it anew. The log holds `head` examples, or
        more."""
        self._furthest[name] = max(head, self.furthest(name))
        self._folds.pop(name, None)
        self._changed()

    def forget(self, name: str) -> None:
        """The model learns no more here and does not serve."""
        self._folds.pop(name, None)
        self._changed()

    def promote(self, name: str, pinned: Fold | None = None) -> None:
        """From the next batch on, `name` serves: `pinned` if it is given, a copy that nobody changes."""
        if (name, pinned) != (self.champion, self._pinned):
            self.champion, self._pinned = name, pinned
            self._changed()

    def get(self, name: str) -> Fold | None:
        return self._folds.get(name)

    def serving(self) -> Fold:
        """The champion.

        Raises:
            NotReady: it is not shown now.
        """
        fold = self._pinned or self._folds.get(self.champion)
        if fold is None:
            raise NotReady(f"the champion {self.champion!r} is not loaded in this process yet", self.ready)
        return fold

    async def ready(self) -> None:
        """Return once the champion is shown."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        self.on_change.append(wake)
        try:
            while self._pinned is None and self._folds.get(self.champion) is None:
                await changed.wait()
                changed.clear()
        finally:
            self.on_change.remove(wake)

    def shadows(self) -> tuple[Fold, ...]:
        """The shadows at hand, in declared order."""
        found = (self._folds.get(name) for name in self._shadowing if name != self.champion)
        return tuple(fold for fold in found if fold is not None)

    def in_use(self) -> tuple[str, ...]:
        """The names of the models that a step of `score` asks, and that nobody may change meanwhile."""
        asked = () if self._pinned is not None else (self.champion,)
        return (*asked, *(name for name in self._shadowing if name != self.champion))

    def held_back(self, name: str) -> int:
        """How many examples the model has learned that its pinned copy, which serves, has not."""
        if self._pinned is None or name != self.champion:
            return 0
        return max(0, self.position(name) - self._pinned.position)

    def position(self, name: str) -> int:
        """Examples learned by the model shown; -1 where none is."""
        fold = self._folds.get(name)
        return -1 if fold is None else fold.position

    def furthest(self, name: str) -> int:
        """How many examples the log holds at least, by what any state of the model has seen in this process."""
        return max(self._furthest.get(name, 0), self.position(name))

    def __iter__(self) -> Iterator[Fold]:
        return iter(tuple(self._folds.values()))  # A learner's thread may change them meanwhile.

    def _changed(self) -> None:
        for call in tuple(self.on_change):
            call()
