"""What keeps a pickled model as fast as one that was just built. Law: nothing of this changes what a model is.

Two habits of CPython cost a Hoeffding adaptive tree 18 % and a scaled linear model 20 % of their time to learn. Up to
3.12 an instance keeps its attributes in a compact array until somebody asks for its `__dict__`, as pickle does when it
writes an instance and when it reads one: from then on each access is a lookup in a dictionary. And strings that come
out of a pickle are not the objects of the same value that rows have as keys, so each lookup compares them by letters.

So instances are written as pickle writes slots, which are read by `setattr`; who has written a model goes on with what
the pickle gives back; and the keys of its dictionaries are interned.
"""

from __future__ import annotations

import copyreg
import gc
import types
from collections import Counter, defaultdict
from functools import cache
from sys import intern
from typing import Any

_KEYED = frozenset((dict, defaultdict, Counter))
_LEAVES = (str, bytes, int, float, complex, type(None), type, types.ModuleType, types.FunctionType, types.CodeType)
_AS_OBJECT = ("__new__", "__reduce_ex__", "__reduce__", "__getstate__", "__setattr__")
_OWN_WAYS = ("__setstate__", "__getnewargs__", "__getnewargs_ex__")
_newobj = copyreg.__newobj__  # type: ignore[attr-defined]  # not in typeshed


def as_slots(thing: Any, without: str | None = None) -> Any:
    """What `reducer_override` returns for an instance whose attributes may be set one by one, those but `without`;
    NotImplemented for any other object."""
    cls: Any = type(thing)
    barred = _barred(cls)
    if barred is None:
        return NotImplemented
    state = thing.__dict__
    if not state or not barred.isdisjoint(state):
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
        name for base in cls.__mro__ for name, value in base.__dict__.items() if hasattr(type(value), "__set__")
    )


def intern_keys(model: Any) -> None:
    """Make the string keys of all dictionaries inside `model` the interned ones, in the same order."""
    seen = {id(model)}
    stack = [model]
    while stack:
        thing = stack.pop()
        if type(thing) in _KEYED:
            _intern(thing)
        for part in gc.get_referents(thing):
            if not isinstance(part, _LEAVES) and id(part) not in seen:
                seen.add(id(part))
                stack.append(part)


def _intern(keyed: dict[Any, Any]) -> None:
    if not any(type(key) is str for key in keyed):
        return
    items = [(intern(key) if type(key) is str else key, value) for key, value in keyed.items()]
    keyed.clear()
    dict.update(keyed, items)  # Counter's own update would add.
