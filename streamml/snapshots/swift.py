"""What keeps a pickled model as fast as one that was just built. Law: nothing of this changes what a model is.

Two habits of CPython cost a Hoeffding adaptive tree 18 % and a scaled linear model 20 % of their time to learn. Up to
3.12 an instance keeps its attributes in a compact array until somebody asks for its `__dict__`, as pickle does when it
writes an instance and when it reads one: from then on each access is a lookup in a dictionary. And strings that come
out of a pickle are not the objects of the same value that rows have as keys, so each lookup compares them by letters.

So instances are written as pickle writes slots, which are read by `setattr`; who has written a model goes on with what
the pickle gives back, unless the former one has cycles inside and would stay; and the keys of its dictionaries are
interned.
"""

from __future__ import annotations

import copyreg
import gc
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Hashable, Iterator
from functools import cache
from sys import intern
from typing import Any, cast

_KEYED = frozenset((dict, defaultdict, Counter))
_CONTAINERS = frozenset((list, tuple, set, frozenset, deque, OrderedDict, *_KEYED))
_LEAVES = (str, bytes, int, float, complex, type(None), type, types.ModuleType, types.FunctionType, types.CodeType)
_AS_OBJECT = ("__new__", "__reduce_ex__", "__reduce__", "__getstate__", "__setattr__")
_OWN_WAYS = ("__setstate__", "__getnewargs__", "__getnewargs_ex__")
# Pickle knows this very function and writes one opcode for it; typeshed does not.
_newobj = cast("Any", copyreg).__newobj__


def as_slots(thing: Any, without: str | None = None) -> Any:
    """What `reducer_override` returns for an instance whose attributes may be set one by one, those but `without`;
    NotImplemented for any other object."""
    cls: Any = type(thing)
    barred = _barred(cls)
    if barred is None:
        return NotImplemented
    state = thing.__dict__
    if not state or not barred.isdisjoint(state) or any(type(name) is not str for name in state):
        return NotImplemented
    if without is not None:
        state = {name: value for name, value in state.items() if name != without}
    return _newobj, (cls,), (None, state)


@cache
def _barred(cls: Any) -> frozenset[str] | None:
    """The names that are no plain attributes of instances of the class, such as properties; None if its instances are
    made or kept in a way of their own."""
    if (
        any(getattr(cls, name) is not getattr(object, name) for name in _AS_OBJECT)
        or any(hasattr(cls, name) for name in _OWN_WAYS)
        or any(base.__dict__.get("__slots__") for base in cls.__mro__)
        or cls in copyreg.dispatch_table
        or not cls.__dictoffset__
    ):
        return None
    return frozenset(
        name
        for base in cls.__mro__
        for name, value in base.__dict__.items()
        if hasattr(type(value), "__set__") or hasattr(type(value), "__delete__")
    )


def _is_plain(thing: Any) -> bool:
    return _barred(cast("Hashable", type(thing))) is not None


def intern_keys(model: Any) -> None:
    """Make the string keys of all dictionaries inside `model` the interned ones, in the same order."""
    for thing in inside(model):
        if type(thing) in _KEYED:
            _intern(thing)


def inside(model: Any) -> Iterator[Any]:
    """`model` and what it is made of, as far as that is plain: containers, and instances that are written as slots or
    are River's own. What is pickled by its name is shared with others and is not entered."""
    seen = {id(model)}
    stack = [model]
    while stack:
        thing = stack.pop()
        yield thing
        if type(thing) in _CONTAINERS or type(thing).__module__.startswith("river.") or _is_plain(thing):
            for part in gc.get_referents(thing):
                if not isinstance(part, _LEAVES) and id(part) not in seen:
                    seen.add(id(part))
                    stack.append(part)


def _intern(keyed: dict[Any, Any]) -> None:
    if all(type(key) is not str or intern(key) is key for key in keyed):
        return
    items = [(intern(key) if type(key) is str else key, value) for key, value in keyed.items()]
    keyed.clear()
    dict.update(keyed, items)  # Counter's own update would add.


def watched(model: Any) -> list[weakref.ref[Any]]:
    """Weak references to the instances inside `model`: once it is let go, one that is alive tells of a cycle."""
    return [weakref.ref(thing) for thing in inside(model) if _is_plain(thing) and type(thing).__weakrefoffset__]
