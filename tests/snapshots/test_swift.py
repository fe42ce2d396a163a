"""What goes through a pickle stays as it was: its attributes inline, its keys interned, its ways its own."""

from __future__ import annotations

import copy
import gc
import itertools
import logging
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from river import forest, linear_model, preprocessing, tree

from streamml.models import Fold
from streamml.snapshots import allow, dumps, loads, renewed, watched
from streamml.snapshots.swift import intern_keys
from streamml.topology import Classification, Model


def grown() -> Any:
    """A tree of several nodes."""
    made: Any = tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, seed=1)
    teach(made)
    return made


def linear() -> Any:
    made = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    teach(made)
    return made


def teach(model: Any, rounds: int = 600) -> None:
    for i in range(rounds):
        model.learn_one({"first": float(i % 7), "second": float(i % 3)}, int(i % 7 > 3))


def held(root: Any) -> Iterator[Any]:
    """All that the collector finds behind `root`, its types and functions left out."""
    seen, stack = {id(root)}, [root]
    while stack:
        thing = stack.pop()
        yield thing
        for part in gc.get_referents(thing):
            if id(part) not in seen and not isinstance(part, type) and not callable(getattr(part, "__code__", None)):
                seen.add(id(part))
                if not hasattr(part, "__globals__") and type(part).__name__ != "module":
                    stack.append(part)


def slow(model: Any) -> list[str]:
    """The River objects inside `model` that keep a dictionary of their attributes."""
    objects = [thing for thing in held(model) if type(thing).__module__.startswith("river.tree")]
    assert len(objects) > 5
    return [
        type(thing).__name__
        for thing in objects
        if any(
            type(part) is dict and part and all(isinstance(key, str) and hasattr(thing, key) for key in part)
            for part in gc.get_referents(thing)
        )
    ]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from 3.13 on a dictionary does not slow its instance down")
def test_after_a_snapshot_and_after_a_restart_attributes_are_inline() -> None:
    model = grown()
    grown_so = len(slow(model))  # River's own ways have made some of them so.
    payload = dumps(model)
    assert len(slow(model)) > grown_so + 3, "pickling leaves instances alone: `renewed` is no longer needed"
    assert len(slow(renewed(payload))) <= grown_so
    assert len(slow(loads(payload))) <= grown_so


@pytest.mark.parametrize("back", [renewed, loads])
def test_keys_are_the_interned_strings(back: Any) -> None:
    model = back(dumps(linear()))
    keys = [key for thing in held(model) if isinstance(thing, dict) for key in thing if key in ("first", "second")]
    assert len(keys) >= 6
    assert all(key is sys.intern(key) for key in keys)


@pytest.mark.parametrize("model", [grown, linear])
def test_a_renewed_model_is_the_same_model(model: Any) -> None:
    one, other = model(), renewed(dumps(model()))
    for _ in range(2):
        teach(one, 300)
        teach(other, 300)
        other = renewed(dumps(other))
        rows = [{"first": float(a), "second": float(b)} for a, b in itertools.product(range(7), range(3))]
        assert [one.predict_proba_one(x) for x in rows] == [other.predict_proba_one(x) for x in rows]


class Plain:
    def __init__(self) -> None:
        self.value: Any = 1


class Lettered:
    """Has a property of the same name as an entry of its `__dict__`."""

    def __init__(self) -> None:
        self.__dict__["value"] = 5

    @property
    def value(self) -> int:
        return int(self.__dict__["value"]) + 1

    @value.setter
    def value(self, given: int) -> None:
        raise AssertionError("set by a pickle")


class Watched:
    def __init__(self) -> None:
        self.__dict__["set"] = []

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["set"].append(name)


class Slotted:
    __slots__ = ("__dict__", "inside")

    def __init__(self) -> None:
        self.inside = [1]
        self.outside = 2


class Stated:
    def __init__(self) -> None:
        self.value = 3

    def __getstate__(self) -> dict[str, Any]:
        return {"value": 4}


class Listed(list[int]):
    def __init__(self) -> None:
        super().__init__([1, 2])
        self.value = 5


def test_what_has_a_way_of_its_own_keeps_it() -> None:
    things = [Plain(), Lettered(), Watched(), Slotted(), Stated(), Listed()]
    plain, lettered, watched, slotted, stated, listed = loads(dumps(things), allow(things))
    assert plain.value == 1
    assert lettered.value == 6
    assert vars(watched) == {"set": []}
    assert (slotted.inside, slotted.outside) == ([1], 2)
    assert stated.value == 4
    assert (list(listed), listed.value) == ([1, 2], 5)


def test_dictionaries_keep_their_order_and_their_counts() -> None:
    names = ["".join(("k", str(number))) for number in (3, 1, 2)]
    kept: list[Any] = [
        {names[0]: 1, 7: "seven", names[1]: 2},
        Counter({names[0]: 3, names[1]: 4}),
        defaultdict(float, {names[2]: 0.5, names[0]: 1.5}),
        OrderedDict([(names[1], 1), (names[0], 2)]),
    ]
    before = copy.deepcopy(kept)
    intern_keys(kept)
    assert kept == before
    assert [list(one) for one in kept] == [list(one) for one in before]
    assert kept[2].default_factory is float
    kept[3].move_to_end(names[1])
    assert list(kept[3]) == [names[0], names[1]]


def test_a_fold_goes_on_with_its_renewal() -> None:
    spec, target = Model("m", tree.HoeffdingAdaptiveTreeClassifier), Classification(False, True)
    one, other = Fold.new(spec, target), Fold.new(spec, target)
    for i in range(900):
        x, y = {"first": float(i % 7), "second": float(i % 3)}, i % 7 > 3
        assert one.test_then_learn(x, y) == other.test_then_learn(x, y)
        if i % 200 == 199:
            other.renew(other.dumps())
    assert one.position == other.position == 900


class Deleting:
    """A descriptor that is only deleted through."""

    def __delete__(self, instance: Any) -> None:
        raise AssertionError("deleted by a pickle")


class Odd:
    kept = Deleting()

    def __init__(self) -> None:
        attributes: dict[Any, Any] = self.__dict__
        attributes.update({"kept": 1, 7: "seven"})


class Undeletable(Odd):
    def __init__(self) -> None:
        self.__dict__["kept"] = 1


def test_attributes_that_no_setattr_could_set() -> None:
    things = [Odd(), Undeletable()]
    odd, undeletable = loads(dumps(things), allow(things))
    assert vars(odd) == {"kept": 1, 7: "seven"}
    assert vars(undeletable) == {"kept": 1}


def test_what_a_model_shares_with_others_is_left_alone() -> None:
    model = Plain()
    loggers = logging.getLogger("streamml.tests").manager.loggerDict
    loggers["".join(("not ", "interned"))] = logging.PlaceHolder(logging.root)
    try:
        before = next(key for key in loggers if key == "not interned")
        model.value = logging.getLogger("streamml.tests")
        intern_keys(model)
        assert next(key for key in loggers if key == "not interned") is before
    finally:
        del loggers["not interned"]
    assert before is not sys.intern("".join(("not", " interned")))


def test_a_model_with_cycles_is_renewed_but_once() -> None:
    spec, target = Model("m", lambda: forest.AMFClassifier(n_estimators=3, seed=1)), Classification(False, True)
    fold = Fold.new(spec, target)
    gc.collect()
    gc.disable()
    try:
        for i in range(400):
            fold.learn({"first": float(i % 7), "second": float(i % 3)}, i % 7 > 3)
            if i % 100 == 99:
                fold.renew(fold.dumps())
        trees = len([1 for thing in gc.get_objects() if type(thing).__name__ == "MondrianTreeClassifier"])
    finally:
        gc.enable()
    assert 0 < trees <= 6


def test_a_model_without_cycles_is_gone_when_it_was_renewed() -> None:
    one = grown()
    former = watched(one)
    assert len(former) > 3
    gc.disable()
    try:
        del one
        assert not any(reference() for reference in former)
    finally:
        gc.enable()
