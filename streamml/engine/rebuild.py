"""Any model at any position, folded from a start and the examples behind it. Law: the log alone is enough; a snapshot
only saves time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamml.agents.live import answer
from streamml.engine.starts import BEGINNING, Opened, Start, open_start
from streamml.models import Features, Fold, FoldError, Lineage, Output
from streamml.schemas import ExampleReader
from streamml.snapshots import Snapshot
from streamml.topology import Model, Target


class Course:
    """The fold of one lineage on its way from a start.

    Positions that the lineage excludes are passed over, and so is an example that makes the model raise, as its learner
    does: it is noted, and the way begins anew.

    Raises:
        SnapshotError: the start's snapshot cannot be opened.
    """

    def __init__(
        self,
        lineage: Lineage,
        target: Target,
        reader: ExampleReader,
        start: Start = BEGINNING,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.lineage = lineage
        self.start = start
        self._learnable = reader.learnable
        self._open: Callable[[], Opened] = lambda: open_start(start, snapshot, lineage, target)
        self.fold, skip = self._open()
        self._skip = set(skip)

    @property
    def replayed(self) -> int:
        """How many examples lie between the start and the fold."""
        return self.fold.position - self.start.position

    def take(self, values: Iterable[bytes | None], until: int) -> bool:
        """Take in the next examples, up to the position `until`.

        False: the model raised on one of them, and the first example behind the start is the next one again.
        """
        fold, learnable, excluded = self.fold, self._learnable, self.lineage.skips
        for value in values:
            if fold.position >= until:
                break
            y, x = learnable(value)
            if fold.position in self._skip or excluded(fold.position):
                fold.position += 1
                continue
            try:
                fold.learn(x, y)
            except FoldError:
                self._skip.add(fold.position)
                self.fold, _ = self._open()
                return False
        return True


class Replay:
    """One model moved forward along the values of `examples`, from position 0 or from a later start.

    `examples` yields the value of each example behind the start, in log order; it is called again, from the beginning,
    if one of them makes the model raise. A `Model` stands for the lineage that excludes nothing.
    """

    def __init__(
        self,
        model: Lineage | Model,
        target: Target,
        reader: ExampleReader,
        examples: Iterable[bytes | None],
        start: Start = BEGINNING,
        snapshot: Snapshot | None = None,
    ) -> None:
        lineage = Lineage.of(model, target) if isinstance(model, Model) else model
        self._course = Course(lineage, target, reader, start, snapshot)
        self._examples = examples
        self._rest = iter(examples)

    @property
    def replayed(self) -> int:
        """How many examples lie between the start and the model."""
        return self._course.replayed

    def at(self, position: int) -> Fold:
        """The model after `position` examples. Positions must be asked for in ascending order.

        Raises:
            LookupError: the log holds fewer examples.
        """
        while (held := self._course.fold.position) < position:
            value = next(self._rest, _END)
            if isinstance(value, _End):
                raise LookupError(f"the log holds {held} examples, not {position}")
            if not self._course.take((value,), position):
                self._rest = iter(self._examples)
        return self._course.fold

    def predict(self, position: int, x: Features) -> Output:
        """What the model at `position` says of `x`."""
        return answer(self.at(position), x)


class _End:
    pass


_END = _End()
