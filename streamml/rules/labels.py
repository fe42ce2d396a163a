"""Which labels count. Law: a label is one of the declared classes by type and by value, or a finite number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamml.errors import DecodeError
from streamml.topology import Classification, Target


def label_check(target: Target, field: str) -> Callable[[Any], Any]:
    """A function from the value of `field` to the label as it is written; it raises DecodeError `label`.

    To Python True, 1 and 1.0 are equal, and models take each for another class: so the type is looked at too.
    """
    if not isinstance(target, Classification):
        return lambda value: _number(value, field)
    known = {value: type(value) for value in target.classes}
    expected = ", ".join(map(repr, target.classes))

    def label(value: Any) -> Any:
        kind = type(value)
        if kind in (str, int, bool) and known.get(value) is kind:
            return value
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
        raise DecodeError("label", f"label {field} is {shown} ({kind.__name__}); expected one of {expected}", field)

    return label


def _number(value: Any, field: str) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise DecodeError("label", f"label {field} is {value!r} ({type(value).__name__}); expected a finite number", field)
