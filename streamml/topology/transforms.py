"""From a valid event to the features that a model sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

FeatureType: TypeAlias = Literal["double", "long", "string", "boolean"]


@dataclass(frozen=True)
class Feature:
    """One feature: its Avro type, and whether it may be absent (an absent feature is not a key of the model's
    input)."""

    name: str
    type: FeatureType = "double"
    optional: bool = False


@dataclass(frozen=True)
class Transform:
    """The features, and how an event becomes them.

    `features` declares all that a model may see: a name stands for a required `double`. `using` is a function from
    the canonical event to a mapping of feature values, or a River transformer that keeps no state; None takes the
    event's fields of the same names. It must be pure: its source is hashed, and the digest goes into every features
    record.
    """

    features: tuple[Feature, ...]
    using: Callable[[Mapping[str, Any]], Mapping[str, Any]] | Any | None = None

    def __init__(
        self,
        *features: str | Feature,
        using: Callable[[Mapping[str, Any]], Mapping[str, Any]] | Any | None = None,
    ) -> None:
        object.__setattr__(self, "features", tuple(f if isinstance(f, Feature) else Feature(f) for f in features))
        object.__setattr__(self, "using", using)
