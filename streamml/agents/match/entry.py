"""What `match` remembers of one id, and its bytes in the changelog. Law: decode(encode(entry)) is the entry."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

CLOCK = b""
"""The changelog key of the watermarks; an id is never empty."""

_ENTRY = Struct("<BqiiiH")
_WAITING = Struct("<qqqi")
_MARKS = Struct("<qq")
_DONE = Struct("<q")
_NONE = -1


class WaitingLabel(NamedTuple):
    """A label that came before its event. `mark` is the watermark of its stream before it came, in ms."""

    time: int
    mark: int
    offset: int
    value: bytes


class Entry:
    """One id on its way to an example. `event_time` (ms) holds once there are features; labels wait until then."""

    __slots__ = ("event_time", "features", "label", "prediction", "waiting")

    def __init__(self) -> None:
        self.event_time = 0
        self.features: bytes | None = None
        self.prediction: bytes | None = None
        self.label: bytes | None = None
        self.waiting: list[WaitingLabel] = []

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


def encode_done(deadline: int) -> bytes:
    """The changelog value of an id whose fate is settled; it is remembered until `deadline` so that doubles are
    known."""
    return _DONE.pack(deadline)


def encode_marks(features_mark: int, labels_mark: int) -> bytes:
    """The changelog value of `CLOCK`."""
    return _MARKS.pack(features_mark, labels_mark)


def decode_marks(value: bytes) -> tuple[int, int]:
    """(watermark of features, watermark of labels)."""
    features_mark, labels_mark = _MARKS.unpack(value)
    return features_mark, labels_mark


def decode(value: bytes) -> Entry | int:
    """An entry, or the deadline of a settled id."""
    if len(value) == _DONE.size:
        return int(_DONE.unpack(value)[0])
    entry = Entry()
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
