"""What the pickle of a model may name. Law: exact pairs of module and name; no prefix, no wildcard.

`allowed.json` holds River's own classes and the few values of other packages that honest pickles of River models name
(measured over 215 models). A prefix rule such as `river.*` would be a hole: `river.datasets.base` imports `os`.
"""

from __future__ import annotations

import importlib
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from streamml.snapshots.reachable import reachable

_NEVER = frozenset(
    [
        "builtins",
        "os",
        "posix",
        "nt",
        "sys",
        "subprocess",
        "_posixsubprocess",
        "importlib",
        "runpy",
        "code",
        "pickle",
        "_pickle",
        "marshal",
        "ctypes",
        "_ctypes",
        "operator",
        "_operator",
        "shutil",
        "socket",
        "_socket",
        "pty",
        "multiprocessing",
        "asyncio",
        "threading",
        "_thread",
        "gc",
        "inspect",
        "types",
    ]
)
"""Modules whose functions are tools of an attack: a model that holds one of them is not restored from a snapshot."""


@dataclass(frozen=True)
class Allowed:
    """Names that are allowed beside the shipped list: what a freshly built model was seen to hold.

    `globals`: the class or function itself by (module, qualified name). `methods`: the pairs (`module:class`, name) of
    bound methods.
    """

    globals: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    methods: frozenset[tuple[str, str]] = frozenset()


def allow(model: Any) -> Allowed:
    """Collect the classes, functions and bound methods that `model`, as its factory built it, holds.

    This is how a user's own class or function comes to be allowed: the declaration put it into the model, so the
    very object is registered, by its exact name.
    """
    found: dict[tuple[str, str], Any] = {}
    methods: set[tuple[str, str]] = set()
    for _, thing in reachable(model):
        if isinstance(thing, types.MethodType):
            methods.add((class_path(type(thing.__self__)), thing.__func__.__name__))
            continue
        named = thing if isinstance(thing, type | types.FunctionType | types.BuiltinFunctionType) else type(thing)
        module, name = getattr(named, "__module__", None), named.__qualname__
        if module and module.partition(".")[0] not in _NEVER and not name.startswith("__"):
            found[module, name] = named
    return Allowed(found, frozenset((cls, name) for cls, name in methods if not name.startswith("__")))


def class_path(cls: type) -> str:
    """`module:qualified name`, as in `allowed.json`."""
    return f"{cls.__module__}:{cls.__qualname__}"


@cache
def shipped_names() -> Mapping[str, frozenset[str]]:
    """The allowed names by module."""
    return {module: frozenset(names) for module, names in _data()["globals"].items()}


@cache
def shipped_methods() -> frozenset[tuple[str, str]]:
    """The (`module:class`, method) pairs of River's own bound methods."""
    return frozenset((cls, name) for cls, names in _data()["methods"].items() for name in names)


@cache
def resolve(module: str, name: str) -> Any:
    """The object behind a pair of the shipped list, which the caller has checked."""
    thing: Any = importlib.import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def _data() -> dict[str, dict[str, list[str]]]:
    data: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("allowed.json").read_text())
    return data
