"""What `match` remembers of an id, and its bytes in the changelog. Law: what is decoded is what was encoded.

An id under way has a record of its own. Settled ids, of which nothing but the name and the deadline matters any more,
stand together in a pack for each slot of time: a record of its own for each would be written once to say that it is
settled, and once more to have it forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack, unpack_from
from typing import NamedTuple

CLOCK = b""
"""The changelog key of the watermarks; an id is never empty."""

PACK = b"\xff"
"""How the changelog key of a pack begins; an id is UTF-8, and never begins so."""

_ENTRY = Struct("<BqiiiH")
_WAITING = Struct("<qqqi")
_MARKS = Struct("<qqQQ")
_LIMIT = Struct(">q")
_NONE = -1


class WaitingLabel(NamedTuple):
    """A label that came before its event. `mark` is the watermark of its stream before it came, in ms."""

    time: int
    mark: int
    offset: int
    value: bytes


class Entry:
    """One id on its way to an example. `event_time` (ms) holds once there are features; labels wait until then.

    `saved`: the changelog holds a record of it.
    """

    __slots__ = ("event_time", "features", "label", "prediction", "saved", "waiting")

    def __init__(self) -> None:
        self.event_time = 0
        self.features: bytes | None = None
        self.prediction: bytes | None = None
        self.label: bytes | None = None
        self.waiting: list[WaitingLabel] = []
        self.saved = False

    @property
    def empty(self) -> bool:
        """There is nothing worth remembering."""
        return self.features is None and self.prediction is None and not self.waiting


def encode(entry: Entry) -> bytes:
    """The entry as a changelog value."""
    features, prediction, label = entry.features, entry.prediction, entry.label
    body = (
        _ENTRY.pack(
            0,
            entry.event_time,
            _NONE if features is None else len(features),
            _NONE if prediction is None else len(prediction),
            _NONE if label is None else len(label),
            len(entry.waiting),
        )
        + (features or b"")
        + (prediction or b"")
        + (label or b"")
    )
    for waiting in entry.waiting:
        body += _WAITING.pack(waiting.time, waiting.mark, waiting.offset, len(waiting.value)) + waiting.value
    return body


def encode_pack(settled: Sequence[tuple[bytes, int]], limit: int) -> tuple[bytes, bytes]:
    """The changelog key and value of ids, each with its deadline, all of them before `limit`.

    No other pack has the key: an id is settled once before `limit`.
    """
    ids, deadlines = zip(*settled, strict=True)
    sizes, count = [len(id) for id in ids], len(settled)
    return PACK + _LIMIT.pack(limit) + ids[0], pack(f"<I{count}q{count}I", count, *deadlines, *sizes) + b"".join(ids)


def decode_pack(value: bytes) -> dict[bytes, int]:
    """The deadline of each id."""
    (count,) = unpack_from("<I", value)
    deadlines, sizes = unpack_from(f"<{count}q", value, 4), unpack_from(f"<{count}I", value, 4 + 8 * count)
    at = 4 + 12 * count
    found: dict[bytes, int] = {}
    for deadline, size in zip(deadlines, sizes, strict=True):
        found[value[at : at + size]] = deadline
        at += size
    return found


def limit_of(key: bytes) -> int:
    """The time (ms) before which the deadlines of a pack lie, from its key."""
    return int(_LIMIT.unpack_from(key, len(PACK))[0])


class Clock(NamedTuple):
    """The record of the clocks, the last one of each checkpoint: both watermarks (ms), and how many ids there are."""

    features_mark: int
    labels_mark: int
    pending: int
    settled: int


def encode_clock(clock: Clock) -> bytes:
    """The changelog value of `CLOCK`."""
    return _MARKS.pack(*clock)


def decode_clock(value: bytes) -> Clock:
    """The clock."""
    return Clock(*_MARKS.unpack(value))


def decode(value: bytes) -> Entry:
    """The entry, which is saved."""
    entry = Entry()
    entry.saved = True
    _, entry.event_time, features, prediction, label, waiting = _ENTRY.unpack_from(value)
    at = _ENTRY.size
    for name, size in (("features", features), ("prediction", prediction), ("label", label)):
        if size != _NONE:
            setattr(entry, name, value[at : at + size])
            at += size
    for _ in range(waiting):
        time, mark, offset, size = _WAITING.unpack_from(value, at)
        at += _WAITING.size
        entry.waiting.append(WaitingLabel(time, mark, offset, value[at : at + size]))
        at += size
    return entry
