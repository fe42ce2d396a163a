"""Restricted pickling of models. Law: loading names only what is listed and leaves every class as it was.

This is the second lock. The first is the signature: see `streamml.snapshots.sealing`.
"""

from __future__ import annotations

import copy
import functools
import io
import pickle
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, NoReturn

from river.proba import Gaussian

from streamml.errors import SnapshotError
from streamml.snapshots.allowed import Allowed, class_path, resolve, shipped_methods, shipped_names
from streamml.snapshots.swift import as_slots, intern_keys

_PROTOCOL = 5
_DEEP_STACK = 512 << 20  # bytes; address space only, touched as far as the recursion goes
_DEEP_RECURSION = 400_000
_LAZY = frozenset(("__slotnames__", "__annotations__"))  # attributes that the interpreter itself adds to a class


def dumps(thing: Any) -> bytes:
    """Pickle `thing`, which must be picklable by reference to importable names.

    The generator of an unseeded `river.proba.Gaussian` is left out: only `sample` uses it, and it makes up to 97 % of a
    snapshot of naive Bayes or a Hoeffding tree, with other bytes in every run.

    Raises:
        SnapshotError: `thing` holds what cannot be pickled, such as a lambda.
    """
    try:
        try:
            return _dump(thing)
        except RecursionError:
            return _on_a_deep_stack(lambda: _dump(thing))
    except RecursionError as error:
        raise SnapshotError(f"a {type(thing).__name__} is too deep to be pickled; bound its depth") from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SnapshotError(
            f"a {type(thing).__name__} cannot be pickled: {error}; "
            "use functions and classes that are defined at the top of a module"
        ) from error


def loads(data: bytes, allowed: Allowed | None = None) -> Any:
    """Unpickle what `dumps` made. `allowed` adds names to the shipped list, see `allow`.

    Raises:
        SnapshotError: the data are no pickle, or name what is not allowed. Nothing that is refused is executed.
    """
    unpickler = _Unpickler(data, allowed or Allowed())
    try:
        thing = unpickler.load()
        intern_keys(thing)
    except SnapshotError:
        unpickler.restore()
        raise
    except Exception as error:
        unpickler.restore()
        raise SnapshotError(
            f"a snapshot's payload cannot be unpickled: {type(error).__name__}: {error}; replay the log instead"
        ) from error
    changed = unpickler.restore()
    if changed:
        raise SnapshotError(f"a snapshot's payload tried to change {changed}; refused, replay the log instead")
    return thing


def renewed(data: bytes) -> Any:
    """The equal of what this process has just pickled into `data`, for going on with in its place: the original has
    become slower by the pickling, see `swift`. Nothing is checked: never for data from elsewhere."""
    thing = pickle.loads(data)
    intern_keys(thing)
    return thing


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        unseeded = type(obj) is Gaussian and getattr(obj, "seed", None) is None
        return as_slots(obj, without="_rng" if unseeded else None)


def _dump(thing: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, _PROTOCOL).dump(thing)
    return buffer.getvalue()


def _on_a_deep_stack(work: Callable[[], bytes]) -> bytes:
    """Run `work` where it may recurse deeply: the search trees inside a regression tree degenerate on sorted input."""
    result: list[bytes] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as raised:
            error.append(raised)

    size, limit = threading.stack_size(_DEEP_STACK), sys.getrecursionlimit()
    try:
        thread = threading.Thread(target=run, name="streamml-dumps")
        sys.setrecursionlimit(_DEEP_RECURSION)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    if error:
        raise error[0]
    return result[0]


class _Unpickler(pickle.Unpickler):
    """Names are looked up in the lists alone, and each class or function handed out is compared with itself afterwards:
    the opcode BUILD sets attributes of any object, a class too."""

    def __init__(self, data: bytes, allowed: Allowed) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed
        self._guards = _guards(allowed)
        self._before: dict[int, tuple[Any, dict[str, Any]]] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        pair = (module, name)
        thing = self._guards.get(pair)
        if thing is None:
            if name in shipped_names().get(module, ()):
                thing = resolve(module, name)
            elif pair in self._allowed.globals:
                thing = self._allowed.globals[pair]
            else:
                _refuse(f"{module}.{name}")
        if id(thing) not in self._before:
            self._before[id(thing)] = (thing, _surface(thing))
        return thing

    def persistent_load(self, pid: Any) -> NoReturn:
        _refuse(f"the persistent id {pid!r}")

    def restore(self) -> str | None:
        """Undo what the pickle did to a class or function; the name of the first one, or None."""
        changed = None
        for thing, before in self._before.values():
            after = _surface(thing)
            for name in before.keys() | after.keys():
                if name in after and name not in before and name in _LAZY:
                    continue
                if before.get(name, _ABSENT) is not after.get(name, _ABSENT):
                    changed = changed or f"{thing.__module__}.{thing.__qualname__}.{name}"
                    if name in before:
                        setattr(thing, name, before[name])
                    else:
                        delattr(thing, name)
        return changed


_ABSENT = object()


def _surface(thing: Any) -> dict[str, Any]:
    if isinstance(thing, types.FunctionType):
        inside = {
            "__code__": thing.__code__,
            "__defaults__": thing.__defaults__,
            "__kwdefaults__": thing.__kwdefaults__,
        }
        return {**thing.__dict__, **inside}
    return dict(getattr(thing, "__dict__", {}))


def _refuse(what: str) -> NoReturn:
    raise SnapshotError(f"a snapshot's payload names {what}, which no model may; refused, replay the log instead")


def _guards(allowed: Allowed) -> dict[tuple[str, str], Any]:
    """Stand-ins for four names that River's pickles need and an attacker could use; closures, so out of his reach."""
    methods = shipped_methods() | allowed.methods

    def bound_method(owner: Any, name: Any) -> Any:
        cls = owner if owner is str else type(owner)
        if type(name) is not str or (class_path(cls), name) not in methods:
            _refuse(f"the attribute {name!r} of a {cls.__name__}")
        return getattr(owner, name)

    def partial(function: Any, *args: Any, **kwargs: Any) -> Any:
        if any(function is guard for guard in (bound_method, partial, iterator)) or not callable(function):
            _refuse("functools.partial of what is not a function of the model")
        return functools.partial(function, *args, **kwargs)

    def iterator(values: Any) -> Any:
        if type(values) not in (list, tuple):
            _refuse(f"an iterator of a {type(values).__name__}")
        return iter(values)

    return {
        ("builtins", "getattr"): bound_method,
        ("functools", "partial"): partial,
        ("builtins", "iter"): iterator,
        ("copy", "deepcopy"): copy.deepcopy,
    }
