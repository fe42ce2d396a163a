"""The canonical value of a feature. Law: what reaches a model is finite and of the one type that was declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamml.errors import DecodeError
from streamml.topology import Feature

LIMIT = 1e150
"""The largest magnitude: River's models square their inputs, and the square of 1e154 is infinite."""

_LONG = 1 << 63
_SHOWN = 60


def converter(feature: Feature) -> Callable[[Any], Any]:
    """A function from a raw value to the canonical one; it raises DecodeError("transform", …) with the field's name.

    double: a float, or an int (a bool is not a number); long: an int of 64 bits; string: a str; boolean: a bool.
    River answers differently to 1, 1.0 and True, and to numpy's numbers, so each type has one representation.
    """
    name = feature.name

    def refuse(value: Any, expected: str) -> DecodeError:
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return DecodeError("transform", f"feature {name} is {shown}, expected {expected}; see the transform", name)

    def double(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refuse(value, "a number")
        if not -LIMIT <= value <= LIMIT:  # false for NaN as well
            raise refuse(value, f"a finite number of magnitude at most {LIMIT}")
        return float(value)

    def long(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse(value, "an integer")
        if not -_LONG <= value < _LONG:
            raise refuse(value, "an integer of 64 bits")
        return int(value)

    def string(value: Any) -> str:
        if not isinstance(value, str):
            raise refuse(value, "a string")
        return str(value)

    def boolean(value: Any) -> bool:
        if not isinstance(value, bool):
            raise refuse(value, "a boolean")
        return value

    return {"double": double, "long": long, "string": string, "boolean": boolean}[feature.type]
