"""Where the fold of a model may begin: at a snapshot, or at nothing. Law: a start is a state of the wanted lineage
itself, and all examples behind it are still there.

A snapshot names its lineage by model and digest. One of another lineage serves as well, as long as the two agree up to
its position. Its header says more: which offset a position has; so a lineage that learned nothing before a position can
begin there without any example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from streamml.errors import DecodeError, SnapshotError
from streamml.models import Fold, Lineage
from streamml.records import Record
from streamml.snapshots import Assembler, Snapshot, differences, environment, loads
from streamml.snapshots.sealing import canonical, signature
from streamml.topology import Target

Header = Mapping[str, Any]
Decode = Callable[[bytes | None], Mapping[str, Any]]
"""From the value of a record of `models` to a Snapshot record. Raises DecodeError."""


class Start(NamedTuple):
    """The state at `position`, whose next example stands at `offset` in `examples`.

    It is that of the snapshot `header`, whose chunks stand at the offsets `chunks` of `models`; without one, that of a
    fold which has learned nothing.
    """

    position: int
    offset: int
    header: Header | None = None
    chunks: tuple[int, ...] = ()

    def __str__(self) -> str:
        return "nothing" if self.header is None else f"the snapshot {self.header['model']}@{self.position}"


BEGINNING = Start(0, 0)


class Shelf:
    """What a log of snapshots holds, by their headers: no payload is kept. With a `key`, what it did not sign is
    passed over."""

    def __init__(self, decode: Decode, key: bytes | None = None) -> None:
        self._decode = decode
        self._key = key
        self._held: dict[tuple[str, int], dict[int, tuple[int, Header]]] = {}

    def take(self, record: Record) -> None:
        """The next record of the log; what is no chunk of a snapshot is passed over."""
        try:
            model, place, number = (record.key or b"").decode().split("/")
            position, chunk = int(place), int(number)
        except ValueError:
            return
        chunks = self._held.setdefault((model, position), {})
        chunks.pop(chunk, None)
        header = None if record.value is None else self._header(record.value)
        if header is not None and (header["model"], header["position"]) == (model, position):
            chunks[chunk] = record.offset, header
        if not chunks:
            del self._held[model, position]

    def __iter__(self) -> Iterator[Start]:
        """Those that are whole and of this environment, as far as their headers say."""
        here = environment()
        for (_, position), chunks in self._held.items():
            headers = [header for _, header in chunks.values()]
            first = headers[0]
            if differences(first["environment"], here):
                continue
            if set(chunks) == set(range(first["chunks"])) and len({canonical(header) for header in headers}) == 1:
                yield Start(position, first["offset"], first, tuple(sorted(offset for offset, _ in chunks.values())))

    def _header(self, value: bytes) -> Header | None:
        try:
            header: Header = self._decode(value)["header"]
        except (DecodeError, KeyError):
            return None
        if self._key is not None and header["signature"] != signature(header, self._key):
            return None
        return header


def starts(
    held: Iterable[Start], lineage: Lineage, lineages: Mapping[str, Lineage], position: int, first: int = 0
) -> list[Start]:
    """Where the fold of `lineage` up to `position` may begin, the nearest first.

    `lineages` are those that the snapshots name; `first` is the offset at which `examples` begins now.
    """
    empty = blank_until(lineage)
    # Of a fold that learned nothing the state is known everywhere; but what follows it must be found in the log.
    found = [Start(position, first)] if position <= empty else []
    if first == 0:
        found.append(BEGINNING)
    for start in held:
        assert start.header is not None
        at, of = start.position, lineages.get(start.header["model"])
        if at > position or of is None or of.digest != start.header["digest"]:
            continue
        if start.offset < first and at != position:
            continue
        if at <= empty:
            found.append(Start(at, start.offset))
        elif lineage.agrees(of, at):
            found.append(start)
    return sorted(found, key=lambda start: start.position, reverse=True)


def blank_until(lineage: Lineage) -> int:
    """The last position at which the lineage has learned nothing yet."""
    low, high = lineage.excluded[0] if lineage.excluded else (0, 0)
    return high if low == 0 else 0


def assemble(records: Iterable[Record], decode: Decode, key: bytes | None) -> Snapshot:
    """The verified snapshot whose chunks these are.

    Raises:
        SnapshotError: it must not be used, or is not whole.
    """
    assembler, snapshot = Assembler(key), None
    for record in records:
        try:
            snapshot = assembler.add(decode(record.value)) or snapshot
        except DecodeError as error:
            raise SnapshotError(f"{record.topic}[{record.partition}]@{record.offset}: {error}") from error
    if snapshot is None:
        raise SnapshotError("the snapshot is not whole; replaying the log instead")
    return snapshot


class Opened(NamedTuple):
    """A fold to go on with, and the later positions whose examples are known to make it raise."""

    fold: Fold
    skip: frozenset[int]


def open_start(start: Start, snapshot: Snapshot | None, lineage: Lineage, target: Target) -> Opened:
    """The fold of `lineage` at `start`; `snapshot` is the one that it names.

    Raises:
        SnapshotError: the payload is not what a learner writes.
    """
    if snapshot is None:
        fold = lineage.new(target)
        fold.position = start.position
        return Opened(fold, frozenset())
    try:
        payload, _, skip = loads(snapshot.payload)
        # What made another lineage raise need not make this one raise, whose state there is another one.
        own = snapshot.header["digest"] == lineage.digest
        later = frozenset(int(position) for position in skip if own and position >= start.position)
        return Opened(lineage.loads(target, payload, start.position), later)
    except SnapshotError:
        raise
    except Exception as error:  # Where nothing is signed, it may hold anything.
        raise SnapshotError(f"it does not hold what a learner writes ({type(error).__name__}: {error})") from error
