"""Rebuilding a model at any position from the examples. Law: the log alone is enough; a snapshot would only save
time."""

from __future__ import annotations

from collections.abc import Iterable

from streamml.agents.live import answer
from streamml.models import Features, Fold, FoldError, Output
from streamml.schemas import ExampleReader
from streamml.topology import Model, Target


class Replay:
    """One model moved forward along the values of `examples`, from position 0.

    `examples` yields the value of each example in log order; it is called again, from the beginning, if one of them
    makes the model raise: that one is then skipped, as the learner did.
    """

    def __init__(self, model: Model, target: Target, reader: ExampleReader, examples: Iterable[bytes]) -> None:
        self._model = model
        self._target = target
        self._learnable = reader.learnable
        self._examples = examples
        self._skip: set[int] = set()
        self._start()

    def _start(self) -> None:
        self._fold = Fold.new(self._model, self._target)
        self._rest = iter(self._examples)

    def at(self, position: int) -> Fold:
        """The model after `position` examples. Positions must be asked for in ascending order.

        Raises:
            LookupError: the log holds fewer examples.
        """
        while self._fold.position < position:
            value = next(self._rest, None)
            if value is None:
                raise LookupError(f"the log holds {self._fold.position} examples, not {position}")
            self._learn(value)
        return self._fold

    def predict(self, position: int, x: Features) -> Output:
        """What the model at `position` says of `x`."""
        return answer(self.at(position), x)

    def _learn(self, value: bytes) -> None:
        y, x = self._learnable(value)
        position = self._fold.position
        if position in self._skip:
            self._fold.position += 1
            return
        try:
            self._fold.learn(x, y)
        except FoldError:
            self._skip.add(position)
            self._start()
            self.at(position)
