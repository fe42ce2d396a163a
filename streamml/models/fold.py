"""A model at a position in the log. Law: its state follows from the specification and the examples learned alone."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn

from river import base

from streamml.errors import SnapshotError, StreammlError
from streamml.models.build import Built, build
from streamml.models.straight import straight
from streamml.models.untouched import Untouched, is_shaped_by_first_row
from streamml.snapshots import allow, dumps, loads, renewed, watched
from streamml.topology import Classification, Model, Target

Features = dict[str, Any]
"""One row: canonical values, keys sorted. It is handed over: a model may keep it, so it must not be changed after."""

Output = dict[str, Any]
"""`{"label": class or None, "probabilities": {str(class): p}}` or `{"value": number or None}`: the record Output."""

_NOT_OURS = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)
# Rust code inside River panics with a BaseException of its own, so everything but these is caught.


class FoldError(StreammlError):
    """A model raised. If it did on learn, its state cannot be trusted: discard it and replay the log."""


class SpentError(FoldError):
    """The model raised on learn before: this is not its having no answer, nothing may be asked of it any more."""


class Fold:
    """A River model with the number of examples that it has learned.

    After a FoldError on learn the fold is spent: whatever is asked of it raises `SpentError`, as River changes state
    before it raises.
    """

    __slots__ = ("_cyclic", "_learn", "_model", "digest", "name", "position")

    name: str
    digest: str
    position: int
    _learn: Callable[[Features, Any], None]

    def __init__(self, name: str, built: Built, position: int) -> None:
        self.name = name
        self.digest = built.digest
        self.position = position
        self._model = built.river
        self._cyclic = False
        self._bind(built.river)

    @classmethod
    def new(cls, model: Model, target: Target) -> Fold:
        """The fold of no examples.

        Raises:
            DeclarationError: see `build`.
        """
        return _fold(model, target, build(model, target), 0)

    @classmethod
    def loads(cls, model: Model, target: Target, payload: bytes, position: int) -> Fold:
        """The fold at `position`, from the `payload` of a verified snapshot (see `snapshots.Assembler`).

        Raises:
            SnapshotError: the payload is not such a model.
        """
        fresh = build(model, target)
        restored = loads(payload, allow(fresh.river))
        if type(restored) is not type(fresh.river):
            raise SnapshotError(
                f"the snapshot of {model.name} at {position} holds a {type(restored).__name__}, "
                f"not a {type(fresh.river).__name__}; replaying the log instead"
            )
        return _fold(model, target, Built(restored, fresh.digest), position)

    def predict(self, x: Features) -> Output:
        """The model's answer for the row `x`. Changes nothing.

        Raises:
            FoldError: the model raised, or its answer is not finite.
            SpentError: the fold is spent.
        """
        raise NotImplementedError

    def learn(self, x: Features, y: Any) -> None:
        """Learn the row `x` with its label `y`, a declared class or a finite number.

        Raises:
            FoldError: the model raised, or `y` is not declared.
            SpentError: the fold is spent.
        """
        raise NotImplementedError

    def test_then_learn(self, x: Features, y: Any) -> Output:
        """The answer before learning, as in prequential evaluation (Dawid, 1984)."""
        output = self.predict(x)
        self.learn(x, y)
        return output

    def dumps(self) -> bytes:
        """The model's state, for `loads`.

        Raises:
            SnapshotError: it cannot be pickled.
            SpentError: the fold is spent.
        """
        if self._model is None:
            self._learn({}, None)
        return dumps(self._model)

    def renew(self, payload: bytes) -> None:
        """Go on with the equal of itself that `payload` gives, which `dumps` has just returned: as fast as before.

        Not where that would keep the memory of the model before it: one with cycles inside is freed by a full garbage
        collection only. Such a model stays as it is from its second snapshot on.
        """
        if self._cyclic or isinstance(getattr(self._learn, "__self__", None), Untouched):
            return
        try:
            river = renewed(payload)
        except Exception:  # What cannot be read back is told when it is needed; this model is whole.
            return
        former = watched(self._model)
        self._model = river
        self._bind(river)
        self._cyclic = any(reference() is not None for reference in former)

    @property
    def no_answer(self) -> Output:
        """What stands for the answer of a model that has none."""
        return {"value": None}

    def _bind(self, river: Any) -> None:
        """Take the methods to call from `river`: bound once, not looked up for each example."""
        self._take(straight(river))

    def _take(self, runner: Any) -> None:
        self._learn = runner.learn_one

    def _no_sense(self, error: BaseException) -> NoReturn:
        if isinstance(error, FoldError):
            raise error
        raise FoldError(f"{self._raised('predict', error)}; it gives no answer") from error

    def _spend(self, error: BaseException) -> NoReturn:
        if isinstance(error, FoldError):
            raise error
        text = f"{self._raised('learn', error)}; its state is discarded, replay the log"
        self._model = None
        self._bind(_Spent(text))
        raise FoldError(text) from error

    def _raised(self, doing: str, error: BaseException) -> str:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return f"model {self.name} at position {self.position} raised on {doing}: {said}"


class _Spent:
    """Stands in for a model that raised."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _refuse(self, *_: Any) -> NoReturn:
        raise SpentError(self._text)

    learn_one = predict_one = predict_proba_one = _refuse


class _ClassFold(Fold):
    """Answers with probabilities, and with the most probable class as River's `Classifier.predict_one` chooses it."""

    __slots__ = ("_classes", "_codes", "_label", "_names", "_own_label", "_pair", "_predict_one", "_probabilities")

    _label: Callable[[Features], Any] | None
    _predict_one: Callable[[Features], Any]
    _probabilities: Callable[[Features], Mapping[Any, float]]

    def __init__(self, name: str, built: Built, position: int, classes: tuple[str | int | bool, ...]) -> None:
        self._codes = {value: code for code, value in enumerate(classes)}
        self._classes = _ByCode(enumerate(classes))
        self._classes[None] = None
        self._names = tuple((code, str(value)) for code, value in enumerate(classes))
        self._pair = (*classes[:2], *map(str, classes[:2]))
        self._own_label = type(_last_step(built.river)).predict_one is not base.Classifier.predict_one
        super().__init__(name, built, position)

    @property
    def no_answer(self) -> Output:
        return {"label": None, "probabilities": {}}

    def _take(self, runner: Any) -> None:
        super()._take(runner)
        self._predict_one = runner.predict_one
        self._probabilities = runner.predict_proba_one
        self._label = self._predict_one if self._own_label else None

    def predict(self, x: Features) -> Output:
        try:
            votes = self._probabilities(x)
            if self._label is None and len(votes) == 2:
                (first, p), (second, q) = votes.items()
                total = p + q
                # River says 1, not 1.0, where its sigmoid saturates; and neither may be infinite or NaN.
                if type(p) is float and type(q) is float and total - total == 0.0:
                    if first is False and second is True:  # As River's linear models say it.
                        no, yes, name_of_no, name_of_yes = self._pair
                        return {"label": no if p >= q else yes, "probabilities": {name_of_no: p, name_of_yes: q}}
                    names = self._names
                    label = self._classes[first if p >= q else second]
                    if first < second:
                        return {"label": label, "probabilities": {names[first][1]: p, names[second][1]: q}}
                    return {"label": label, "probabilities": {names[second][1]: q, names[first][1]: p}}
            return self._answer(votes, None if self._label is None else self._label(x))
        except NotImplementedError:
            return self._without_probabilities(x)
        except _NOT_OURS:
            raise
        except BaseException as error:
            self._no_sense(error)

    def learn(self, x: Features, y: Any) -> None:
        try:
            self._learn(x, self._codes[y])
        except _NOT_OURS:
            raise
        except BaseException as error:
            declared = y in self._codes
            self._spend(error if declared else ValueError(f"{y!r} is not one of {list(self._codes)}"))
        self.position += 1

    def _answer(self, votes: Mapping[Any, float], label: Any) -> Output:
        values = [*votes.values()]
        total = sum(values)
        if not isfinite(total):
            raise ArithmeticError(f"the probabilities are {dict(votes)}")
        if self._label is None and votes:
            label = [*votes][values.index(max(values))]  # the first of equals, as max(votes, key=votes.get)
        probabilities = {name: float(votes[code]) for code, name in self._names if code in votes}
        if len(probabilities) != len(votes):
            raise ValueError(f"the answer has classes {sorted(map(str, votes))}, not all of them codes of a class")
        return {"label": self._classes[label], "probabilities": probabilities}

    def _without_probabilities(self, x: Features) -> Output:
        try:
            return {"label": self._classes[self._predict_one(x)], "probabilities": {}}
        except _NOT_OURS:
            raise
        except BaseException as error:
            self._no_sense(error)


class _ByCode(dict[Any, str | int | bool | None]):
    """The declared class by its code; a code that River knows as True or 1.0 is the same key as 1."""

    def __missing__(self, label: Any) -> NoReturn:
        raise ValueError(f"the answer {label!r} is not the code of a declared class")


class _NumberFold(Fold):
    __slots__ = ("_value",)

    _value: Callable[[Features], Any]

    def _take(self, runner: Any) -> None:
        super()._take(runner)
        self._value = runner.predict_one

    def predict(self, x: Features) -> Output:
        try:
            value = self._value(x)
            if value is None:
                return {"value": None}
            value = float(value)
            if not isfinite(value):
                raise ArithmeticError(f"the answer is {value}")
            return {"value": value}
        except _NOT_OURS:
            raise
        except BaseException as error:
            self._no_sense(error)

    def learn(self, x: Features, y: Any) -> None:
        try:
            self._learn(x, float(y))
        except _NOT_OURS:
            raise
        except BaseException as error:
            self._spend(error)
        self.position += 1


def _fold(model: Model, target: Target, built: Built, position: int) -> Fold:
    fold: Fold
    if isinstance(target, Classification):
        fold = _ClassFold(model.name, built, position, target.classes)
    else:
        fold = _NumberFold(model.name, built, position)
    if position == 0 and is_shaped_by_first_row(built.river):
        fold._bind(Untouched(built.river, lambda: build(model, target).river, fold._bind))
    return fold


def _last_step(river: Any) -> Any:
    while hasattr(river, "_last_step"):
        river = river._last_step
    return river
