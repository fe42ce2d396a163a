"""From a canonical event to what a model sees. Law: exactly the declared features, sorted, canonical, finite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from math import hypot
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from river.base import Base

from streamml.errors import DeclarationError, DecodeError
from streamml.features.values import LIMIT, converter
from streamml.snapshots.seeds import seeded
from streamml.snapshots.structure import structure
from streamml.topology import Transform

_FLOATS = frozenset((float,))
_Values = Callable[[Mapping[str, Any]], dict[str, Any]]
_NOT_OURS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Transformer:
    """A compiled `Transform`. `digest`: 16 hexadecimal digits of SHA-256 over the features and the function."""

    __slots__ = ("_features", "_limits", "digest", "values")

    digest: str
    values: _Values
    """From an event to feature values. Raises DecodeError with the rule `transform`, and nothing else."""

    def __init__(self, transform: Transform, event_fields: Sequence[str], doubles: Collection[str] = ()) -> None:
        """`event_fields`: the names of the event schema's fields; `doubles`: those that are always finite floats in a
        valid event, which need no second look.

        Raises:
            DeclarationError: a feature without a transform is not a field of the event.
        """
        self._features = tuple(sorted(transform.features, key=lambda feature: feature.name))
        self._limits = tuple((feature.name, converter(feature), feature.optional) for feature in self._features)
        using = transform.using
        if using is None:
            missing = [feature.name for feature in self._features if feature.name not in event_fields]
            if missing:
                raise DeclarationError(
                    f"feature {missing[0]} is not a field of the event ({', '.join(event_fields)}); "
                    "name a field, or give the transform a function with using="
                )
            plain = all(f.type == "double" and not f.optional and f.name in doubles for f in self._features)
            self.values = self._picked() if plain and len(self._features) > 1 else self._compiled()
        elif isinstance(using, Base):
            self.values = self._by(seeded(using, 0).transform_one, dict)
        else:
            self.values = self._by(using, MappingProxyType)
        self.digest = digest_of(transform)

    def _by(self, function: Callable[[Any], Any], wrap: Callable[[Mapping[str, Any]], Any]) -> _Values:
        names, select = frozenset(name for name, _, _ in self._limits), self._compiled()

        def values(event: Mapping[str, Any]) -> dict[str, Any]:
            try:
                result = function(wrap(event))
            except _NOT_OURS:
                raise
            except BaseException as error:  # Rust code inside River panics with a BaseException
                text = " ".join(f"{type(error).__name__}: {error}".split())
                raise DecodeError("transform", f"the transform raised {text}") from error
            if not isinstance(result, Mapping):
                kind = type(result).__name__
                raise DecodeError("transform", f"the transform returned a {kind}, expected a mapping of features")
            found = select(result)
            if len(found) != len(result):
                for name in result.keys() - names:
                    raise DecodeError("transform", f"the transform returned {name}, not a declared feature", str(name))
            return found

        return values

    def _picked(self) -> _Values:
        """Fields by name, as they are."""
        # A literal takes half the time of a dict that is made of its keys and what `itemgetter` has found.
        pairs = ", ".join(f"{feature.name!r}: event[{feature.name!r}]" for feature in self._features)
        values: _Values = eval(f"lambda event: {{{pairs}}}")
        return values

    def _compiled(self) -> _Values:
        """Fields by name: checked all at once where every feature is a required double."""
        limits = self._limits
        if len(limits) < 2 or any(feature.optional or feature.type != "double" for feature in self._features):
            return self._selected
        names = tuple(name for name, _, _ in limits)
        pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*names)
        selected, all_floats, limit = self._selected, _FLOATS.issuperset, LIMIT

        def values(found: Mapping[str, Any]) -> dict[str, Any]:
            try:
                row = pick(found)
            except KeyError:
                return selected(found)
            # The norm bounds each magnitude, and is NaN or infinite if a value is.
            if all_floats(map(type, row)) and hypot(*row) <= limit:
                return dict(zip(names, row, strict=False))
            return selected(found)

        return values

    def _selected(self, found: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for name, convert, optional in self._limits:
            value = found.get(name)
            if value is not None:
                values[name] = convert(value)
            elif not optional:
                raise DecodeError("transform", f"feature {name} is missing; declare it optional or supply it", name)
        return values


def digest_of(transform: Transform) -> str:
    """The identity of a transform, the same in every process."""
    features = sorted((f.name, f.type, f.optional) for f in transform.features)
    text = json.dumps({"features": features, "using": structure(transform.using)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
