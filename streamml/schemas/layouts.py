"""Maps of doubles that have the same keys again and again, as metrics and probabilities do. Law: the bytes and the
values are those of entry by entry.

What stands around the numbers of such maps is the same in all of them: so they are read and written by one `struct`
call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from streamml.schemas.varint import encode_long, encode_string

Read: TypeAlias = Callable[[bytes, int], tuple[dict[str, float], int] | None]

_MANY = 64
"""Keys of a map, and different sets of keys, for which a function is made."""
_TRIES = 8
"""Functions that a reader makes before it takes the keys for ever new ones."""


def writer(of_any: Callable[[Mapping[str, Any]], bytes]) -> Callable[[Mapping[str, Any]], bytes]:
    """Writes a map of doubles, in the order of its keys; `of_any` is the way for rare ones."""
    writers: dict[tuple[str, ...], Callable[..., bytes]] = {}

    def write(items: Mapping[str, Any]) -> bytes:
        keys = tuple(items)
        write_numbers = writers.get(keys)
        if write_numbers is None:
            if not 0 < len(keys) < _MANY or len(writers) >= _MANY:
                return of_any(items)
            write_numbers = writers[keys] = _writer_of(keys)
        return write_numbers(*items.values())

    return write


class Reader:
    """`read(data, at)` gives a map and where it ends, if it has the keys that the last ones had; else None. Whatever
    was read in another way is told to `learn`."""

    read: Read

    def __init__(self) -> None:
        self.read = _nothing
        self._keys: tuple[str, ...] = ()
        self._tries = _TRIES

    def learn(self, found: Mapping[str, float]) -> None:
        keys = tuple(found)
        if keys != self._keys:
            self._keys = keys
        elif self._tries and 0 < len(keys) < _MANY:
            self._tries -= 1
            self.read = _reader_of(keys)
        elif not self._tries:
            self.read = _nothing


def _nothing(data: bytes, at: int) -> None:
    return None


def _heads(keys: Sequence[str]) -> list[bytes]:
    """The bytes before each number."""
    heads = [encode_string(key) for key in keys]
    heads[0] = encode_long(len(keys)) + heads[0]
    return heads


def _struct(heads: Sequence[bytes]) -> Struct:
    return Struct("<" + "".join(f"{len(head)}sd" for head in heads) + "s")


def _writer_of(keys: Sequence[str]) -> Callable[..., bytes]:
    heads = _heads(keys)
    scope: dict[str, Any] = {"pack": _struct(heads).pack, **{f"h{place}": head for place, head in enumerate(heads)}}
    numbers = ", ".join(f"v{place}" for place in range(len(keys)))
    pairs = ", ".join(f"h{place}, v{place}" for place in range(len(keys)))
    write: Callable[..., bytes] = eval(f"lambda {numbers}: pack({pairs}, b'\\0')", scope)
    return write


def _reader_of(keys: Sequence[str]) -> Read:
    heads = _heads(keys)
    layout, places = _struct(heads), range(len(keys))
    parts = ", ".join(f"h{place}, v{place}" for place in places)
    same = " and ".join(f"h{place} == head{place}" for place in places)
    values = ", ".join(f"key{place}: v{place}" for place in places)
    source = f"""
def read(data, at):
    try: {parts}, end = unpack(data, at)
    except failed: return None
    if {same} and end == b'\\0': return {{{values}}}, at + {layout.size}
"""
    scope: dict[str, Any] = {"unpack": layout.unpack_from, "failed": StructError}
    for place, key in enumerate(keys):
        scope |= {f"key{place}": key, f"head{place}": heads[place]}
    exec(source, scope)
    read: Read = scope["read"]
    return read
