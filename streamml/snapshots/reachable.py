"""What a model is made of: each object that it holds, with the path to it. Law: nothing is called or changed."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any

_ATOMS = (str, bytes, bytearray, int, float, complex, type(None), types.ModuleType)


def reachable(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, object) for `root` and all that it holds, each object once, in the order of their attributes.

    Classes and functions are yielded and not entered: a pickle names them and does not hold them.
    """
    seen: set[int] = set()
    held: list[Any] = []  # keeps temporary objects alive, so that no id in `seen` is used twice
    stack: list[tuple[str, Any]] = [(type(root).__name__, root)]
    while stack:
        path, thing = stack.pop()
        if isinstance(thing, _ATOMS) or id(thing) in seen:
            continue
        seen.add(id(thing))
        held.append(thing)
        yield path, thing
        stack.extend(reversed(list(_parts(path, thing))))


def _parts(path: str, thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType):
        return
    if isinstance(thing, types.MethodType):
        yield f"{path}.__self__", thing.__self__
        return
    if isinstance(thing, functools.partial):
        yield f"{path}.func", thing.func
        yield from ((f"{path}.args[{i}]", part) for i, part in enumerate(thing.args))
        yield from ((f"{path}.{name}", part) for name, part in thing.keywords.items())
    if isinstance(thing, Mapping):
        for key, part in thing.items():
            yield f"{path}[{key!r}]", key
            yield f"{path}[{key!r}]", part
        yield f"{path}.default_factory", getattr(thing, "default_factory", None)
    elif isinstance(thing, list | tuple | set | frozenset) or hasattr(thing, "popleft"):
        yield from ((f"{path}[{i}]", part) for i, part in enumerate(thing))
    for name, part in attributes(thing).items():
        yield f"{path}.{name}", part


def attributes(thing: Any) -> dict[str, Any]:
    """The instance attributes of `thing`, those in slots included."""
    found: dict[str, Any] = dict(getattr(thing, "__dict__", {}))
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                found.setdefault(name, getattr(thing, name))
    return found
