"""Seeds by path. Law: every stochastic part gets a seed of its own, from the root seed and its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from river.base import Base, WrapperEnsemble
from river.proba.base import Distribution

from streamml.snapshots.reachable import reachable
from streamml.snapshots.structure import parameters, steps_of


def seeded(part: Any, seed: int) -> Any:
    """`part` with a seed wherever its parts have a parameter `seed` that is None; an explicit seed stays as it is.

    A part is built anew from its constructor's parameters where something in it changes, as River makes its
    generators in the constructor; the rest is taken over. `part` must be untrained.
    """
    return _Seeding(seed, everything=False).visit(part, type(part).__name__)


def rebuilt(part: Any, seed: int) -> Any:
    """`part` as its constructors make it: what it may have learned is not taken over. Seeded as by `seeded`."""
    return _Seeding(seed, everything=True).visit(part, type(part).__name__)


def seed_of(root: int, path: str) -> int:
    """A seed of 31 bits: the first 4 bytes of SHA-256 of `root:path`, without the sign."""
    return int.from_bytes(hashlib.sha256(f"{root}:{path}".encode()).digest()[:4], "big") & 0x7FFFFFFF


def unseeded(part: Any) -> Iterator[str]:
    """The paths of stochastic parts that still have no seed.

    Probability distributions are not counted: their generator is used by `sample` alone, which models do not call.
    """
    for path, thing in reachable(part):
        if isinstance(thing, Base) and not issubclass(type(thing), Distribution) and steps_of(thing) is None:
            arguments = parameters(thing)
            if arguments is not None and "seed" in arguments[1] and arguments[1]["seed"] is None:
                yield path


class _Seeding:
    def __init__(self, root: int, *, everything: bool) -> None:
        self.root = root
        self.everything = everything

    def visit(self, part: Any, path: str) -> Any:
        if type(part) in (list, tuple):
            items = [self.visit(item, f"{path}[{index}]") for index, item in enumerate(part)]
            return type(part)(items) if self.changed(part, items) else part
        if type(part) is dict:
            values = {key: self.visit(value, f"{path}.{key}") for key, value in part.items()}
            return values if self.changed(part.values(), values.values()) else part
        if isinstance(part, type) or not isinstance(part, Base):
            return part
        steps = steps_of(part)
        return self.visit_object(part, path) if steps is None else self.visit_steps(part, steps, path)

    def visit_steps(self, part: Any, steps: Mapping[str, Any], path: str) -> Any:
        values = {name: self.visit(step, f"{path}.{name}") for name, step in steps.items()}
        if not self.everything and not self.changed(steps.values(), values.values()):
            return part
        return type(part)(*values.items())

    def visit_object(self, part: Base, path: str) -> Any:
        arguments = parameters(part)
        if arguments is None:
            return part
        positional, named = arguments
        copies = isinstance(part, WrapperEnsemble)
        template = named.pop("model") if copies else None
        args = [self.visit(item, f"{path}[{index}]") for index, item in enumerate(positional)]
        values = {name: self.visit(value, f"{path}.{name}") for name, value in named.items()}
        if "seed" in values and values["seed"] is None:
            values["seed"] = seed_of(self.root, f"{path}.seed")
        seeded_template = self.visit(template, f"{path}.model")
        before, after = [*positional, *named.values(), template], [*args, *values.values(), seeded_template]
        if not self.everything and not self.changed(before, after):
            return part
        make: Any = type(part)
        if not copies:
            return make(*args, **values)
        # The constructor copies its model: each copy is seeded by its own place, or all would draw the same numbers.
        whole = make(*args, model=template, **values)
        whole.data = [self.visit(copy, f"{path}.models[{index}]") for index, copy in enumerate(whole.data)]
        whole.model = seeded_template
        return whole

    @staticmethod
    def changed(before: Any, after: Any) -> bool:
        return any(old is not new for old, new in zip(before, after, strict=True))
