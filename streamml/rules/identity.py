"""Ids and times, which every record needs. Law: an id is text of 1 to 256 bytes; a time is a millisecond between 1970
and 9999."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from streamml.errors import DecodeError

MAX_ID_BYTES = 256
MAX_TIME = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that ISO-8601 and most databases can hold."""


def id_of(value: Any, field: str) -> str:
    """The id as text; an integer becomes its decimal digits. Raises DecodeError `required` or `id`."""
    if value is None:
        raise DecodeError("required", f"the id field {field} is null; expected a string or an integer", field)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DecodeError(
            "id", f"the id field {field} is a {type(value).__name__}; expected a string or an integer", field
        )
    text = str(value)
    size = len(text.encode())
    if not 0 < size <= MAX_ID_BYTES:
        raise DecodeError("id", f"the id field {field} has {size} bytes; expected 1 to {MAX_ID_BYTES}", field)
    return text


def time_of(value: Any, field: str, rule: str, latest: int = MAX_TIME) -> int:
    """The time in ms, at most `latest`. Raises DecodeError `required`, or `rule` if it is out of bounds."""
    if value is None:
        raise DecodeError("required", f"the time field {field} is null; expected a time", field)
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        raise DecodeError(
            rule,
            f"the time field {field} is {value!r}; expected milliseconds since 1970, at most {MAX_TIME} (year 9999)",
            field,
        )
    if value > latest:
        raise DecodeError(rule, f"the time field {field} is {moment(value)}; expected at most {moment(latest)}", field)
    return value


def moment(ms: int) -> str:
    """A time in ms as ISO-8601 UTC, or the number where no calendar reaches."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
