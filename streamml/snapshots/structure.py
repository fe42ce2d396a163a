"""What a part is, as plain data: the same in every process. Law: nothing here depends on an address."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import re
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from river.base import Base
from river.compose import Pipeline, TransformerUnion

from streamml.snapshots.reachable import attributes

_PLAIN = (type(None), bool, int, str)
_LIBRARIES = frozenset(("river", "numpy", "scipy", "sklearn", "pandas")) | sys.stdlib_module_names


def structure(part: Any) -> Any:
    """`part` as JSON data: classes by name with their constructor's parameters, functions with a hash of their source.

    The code of a user's function or class counts, with the plain values and the functions of its module that it names.
    The code of libraries does not: their versions are recorded apart.
    """
    return _describe(part, ())


def canonical(part: Any) -> str:
    """`structure` in one unambiguous line, for hashing."""
    return json.dumps(structure(part), sort_keys=True, separators=(",", ":"))


def steps_of(part: Any) -> Mapping[str, Any] | None:
    """The named parts of a pipeline, a union or a product; None for anything else."""
    if issubclass(type(part), TransformerUnion):
        return dict(part.transformers)
    if issubclass(type(part), Pipeline):
        return dict(part.steps)
    return None


def parameters(part: Base) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments that would construct `part` anew, read from its attributes as River's own `clone` does.

    None for a class that does not keep each parameter in an attribute of its name, as River asks its classes to.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(part)).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            values = getattr(part, name, ())
            positional.extend(sorted(values, key=repr) if isinstance(values, set | frozenset) else values)
        elif parameter.kind is parameter.VAR_KEYWORD:
            named.update(getattr(part, name, {}))
        elif hasattr(part, name):
            named[name] = getattr(part, name)
        else:
            return None
    return positional, named


def _describe(part: Any, above: tuple[int, ...]) -> Any:
    if isinstance(part, _PLAIN) and type(part) in _PLAIN:
        return part
    if type(part) is float:
        return {"float": repr(part)}
    if id(part) in above:
        return {"above": above[::-1].index(id(part))}
    above = (*above, id(part))
    if isinstance(part, list | tuple):
        return {type(part).__name__: [_describe(item, above) for item in part]}
    if isinstance(part, set | frozenset):
        return {"set": sorted((_describe(item, above) for item in part), key=json.dumps)}
    if isinstance(part, Mapping):
        return {"mapping": [[_describe(k, above), _describe(v, above)] for k, v in part.items()]}
    if isinstance(part, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType | functools.partial):
        return _describe_callable(part, above)
    if isinstance(part, np.ndarray | np.generic):
        content = hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()
        return {"array": [str(part.dtype), list(part.shape), content]}
    if isinstance(part, re.Pattern):
        return {"pattern": [str(part.pattern), part.flags]}
    return _describe_object(part, above)


def _describe_object(part: Any, above: tuple[int, ...]) -> Any:
    kind = _describe_callable(type(part), above)
    steps = steps_of(part)
    if steps is not None:
        return {"part": kind, "steps": [[name, _describe(step, above)] for name, step in steps.items()]}
    arguments = parameters(part) if isinstance(part, Base) else None
    if arguments is None:
        held = attributes(part)
    else:
        held = {"*": arguments[0], **arguments[1]} if arguments[0] else arguments[1]
    if not held and not isinstance(part, Base):
        return {"part": kind, "repr": re.sub(r" at 0x[0-9a-f]+", "", repr(part))}
    return {"part": kind, "with": {name: _describe(value, above) for name, value in sorted(held.items())}}


def _describe_callable(part: Any, above: tuple[int, ...]) -> Any:
    if isinstance(part, functools.partial):
        inside = [_describe(piece, above) for piece in (part.func, part.args, dict(part.keywords))]
        return {"partial": inside}
    if isinstance(part, types.MethodType):
        return {"method": part.__func__.__name__, "of": _describe(part.__self__, above)}
    module = part.__module__ or "builtins"
    if module.partition(".")[0] in _LIBRARIES:
        return f"{module}:{part.__qualname__}"
    if isinstance(part, type):
        own = [cls for cls in part.__mro__ if (cls.__module__ or "").partition(".")[0] not in _LIBRARIES]
        return {"class": part.__qualname__, "source": [_source(cls) for cls in own]}
    if isinstance(part, types.FunctionType):
        names = {name: _describe(value, above) for name, value in sorted(_named_by(part))}
        return {"function": part.__qualname__, "source": _source(part), "names": names}
    return f"{module}:{part.__qualname__}"


def _named_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The plain values and own functions that a function reaches by name: its defaults, its closure, its module."""
    yield "()", function.__defaults__
    yield "(*)", function.__kwdefaults__
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is still empty
            yield name, cell.cell_contents
    for name in set(_names(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, (*_PLAIN, float, tuple, list, dict, set, frozenset, types.FunctionType)):
            yield name, value


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _source(thing: Any) -> str:
    try:
        content = inspect.getsource(thing).encode()
    except (OSError, TypeError):
        content = _code(thing.__code__) if hasattr(thing, "__code__") else repr(sorted(vars(thing))).encode()
    return hashlib.sha256(content).hexdigest()


def _code(code: types.CodeType) -> bytes:
    inside = [_code(c) if isinstance(c, types.CodeType) else repr(c).encode() for c in code.co_consts]
    return b"".join((code.co_code, repr(code.co_names).encode(), *inside))
