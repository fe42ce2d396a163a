"""Where a fold may begin: only at a state of its own, behind which all examples are still there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from river import linear_model
from support.rebuilding import feed, shelf_of
from support.tiny import tiny

from streamml import Classification, Model, Snapshots
from streamml.engine.starts import Shelf, Start, assemble, open_start, starts
from streamml.errors import DecodeError, SnapshotError
from streamml.models import Lineage
from streamml.records import LogRecord
from streamml.snapshots import dumps, seal
from streamml.snapshots import sealing as sealing_module
from streamml.testing import Driver

TARGET = Classification(False, True)
LR = Lineage.of(Model("lr", linear_model.LogisticRegression), TARGET)
KEY = b"a signing key"

Rows = list[tuple[str, Any]]


def sealed(position: int, payload: bytes = b"payload", key: bytes | None = None, of: Lineage = LR) -> Rows:
    """Chunks by key; each example takes two offsets, as when it is a transaction of its own."""
    rows = seal(payload, model=of.name, digest=of.digest, position=position, offset=2 * position, at=0, key=key)
    return [(name, value) for name, value in rows]


def shelf(rows: Iterable[tuple[str, Any]], key: bytes | None = None) -> tuple[Shelf, list[LogRecord]]:
    """A log of these rows, and the shelf that has taken it in; the values stand for their own encoding."""
    held: list[Any] = []

    def decode(value: bytes | None) -> Any:
        found = held[int(value or b"")]
        if found == "junk":
            raise DecodeError("magic", "junk")
        return found

    log = []
    for number, (name, value) in enumerate(rows):
        held.append(value)
        data = None if value is None else b"%d" % number
        log.append(LogRecord("app.models", 0, number, 0, name.encode(), data))
    made = Shelf(decode, key)
    for record in log:
        made.take(record)
    return made, log


def positions(found: Sequence[Start]) -> list[int]:
    return [start.position for start in found]


def chosen(rows: Rows, position: int, of: Lineage = LR, first: int = 0, key: bytes | None = None) -> list[int]:
    return positions(starts(shelf(rows, key)[0], of, {"lr": LR, of.name: of}, position, first))


def test_the_nearest_comes_first_and_the_beginning_last() -> None:
    rows = sealed(10) + sealed(30) + sealed(20) + sealed(40)
    assert chosen(rows, 35) == [30, 20, 10, 0]
    assert chosen(rows, 30) == [30, 20, 10, 0]
    assert chosen(rows, 9) == [0]
    assert chosen([], 9) == [0]


def test_what_was_deleted_since_is_no_start() -> None:
    rows = sealed(10) + sealed(20)
    assert chosen([*rows, ("lr/20/0", None)], 30) == [10, 0]
    assert chosen([*rows, ("lr/20/0", None), *sealed(20)], 30) == [20, 10, 0]


def test_junk_is_passed_over() -> None:
    odd = [("lr/x/0", None), ("lr/20", "junk"), ("lr/5/0", "junk"), ("a/b/c/d", None), ("lr/6/0", sealed(7)[0][1])]
    assert chosen([*sealed(10), *odd, ("nobody/20/0", sealed(20)[0][1])], 30) == [10, 0]
    record = LogRecord("app.models", 0, 0, 0, None, None)
    made, _ = shelf(sealed(10))
    made.take(record)
    made.take(record._replace(key=b"\xff/1/0"))
    assert positions(list(made)) == [10]


def test_a_snapshot_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_module, "CHUNK", 3)
    rows = sealed(10)
    assert len(rows) == 3
    assert chosen(rows[:2], 30) == [0]
    assert chosen([rows[2], rows[0], rows[1]], 30) == [10, 0]
    # Chunks of two snapshots of one position are no snapshot.
    other = sealed(10, b"another")
    assert chosen([*rows, other[0]], 30) == [0]
    assert chosen([*rows, *other], 30) == [10, 0]
    assert chosen([*rows, ("lr/10/1", None)], 30) == [0]


def test_with_a_key_only_what_it_signed_counts() -> None:
    rows = sealed(10, key=KEY) + sealed(20) + sealed(30, key=b"another")
    assert chosen(rows, 30, key=KEY) == [10, 0]
    assert chosen(rows, 30) == [30, 20, 10, 0]


def test_only_states_of_the_lineage_count() -> None:
    fork = Lineage.of(LR.model, TARGET, [(15, 20)], "lr~1")
    other = Lineage.of(Model("lr", linear_model.Perceptron), TARGET)
    nb = Lineage.of(Model("nb", linear_model.LogisticRegression), TARGET)
    rows = sealed(10) + sealed(18) + sealed(30) + sealed(40, of=fork)
    assert chosen(rows, 50, fork) == [40, 10, 0]
    assert chosen(rows, 16, fork) == [10, 0]
    assert positions(starts(shelf(rows)[0], LR, {"lr": LR, "lr~1": fork}, 50)) == [30, 18, 10, 0]
    assert chosen(rows, 50, other) == [0]
    assert positions(starts(shelf(rows)[0], nb, {"nb": nb, "lr": LR}, 50)) == [0]


def test_behind_a_start_all_examples_must_be_left() -> None:
    rows = sealed(10) + sealed(20) + sealed(30)
    # Offsets below 40 are gone: those of the positions below 20.
    assert chosen(rows, 35, first=40) == [30, 20]
    assert chosen(rows, 35, first=41) == [30]
    # A snapshot needs no example at its own position.
    assert chosen(rows, 10, first=40) == [10]
    assert chosen(rows, 15, first=40) == []
    assert chosen(rows, 15, first=1) == [10]
    assert chosen(rows, 0, first=40) == [0]


def test_what_learned_nothing_yet_begins_where_any_snapshot_tells_its_offset() -> None:
    fork = Lineage.of(LR.model, TARGET, [(0, 25)], "lr~1")
    rows = sealed(10) + sealed(20) + sealed(30)
    held = shelf(rows)[0]
    found = starts(held, fork, {"lr": LR, "lr~1": fork}, 50, first=40)
    assert [(s.position, s.offset, s.header) for s in found] == [(20, 40, None)]
    assert positions(starts(held, fork, {"lr": LR, "lr~1": fork}, 50)) == [20, 10, 0]
    assert positions(starts(held, fork, {"lr": LR, "lr~1": fork}, 24, first=41))[0] == 24
    assert starts(held, fork, {"lr": LR, "lr~1": fork}, 50, first=41) == []


def test_a_payload_that_no_learner_wrote_is_refused() -> None:
    for payload in (b"", b"junk", dumps(("a", "b")), dumps((b"junk", {}, [])), dumps((b"", {}, ["x"]))):
        made, log = shelf(sealed(10, payload))
        start = next(iter(made))
        snapshot = assemble([log[at] for at in start.chunks], made._decode, None)
        with pytest.raises(SnapshotError):
            open_start(start, snapshot, LR, TARGET)


def test_a_torn_snapshot_is_refused() -> None:
    made, log = shelf(sealed(10))
    with pytest.raises(SnapshotError, match="not whole"):
        assemble([], made._decode, None)
    with pytest.raises(SnapshotError, match="not signed"):
        assemble(log, made._decode, KEY)
    junk, log = shelf([("lr/10/0", "junk")])
    with pytest.raises(SnapshotError, match=r"app\.models\[0\]@0: junk"):
        assemble(log, junk._decode, None)


def test_what_the_learner_has_thinned_out_is_not_on_the_shelf() -> None:
    driver = Driver(tiny("thinned", snapshots=Snapshots(every=5)))
    feed(driver, range(100))
    keys = {record.key for record in driver.records("models") if (record.key or b"").startswith(b"lr/")}
    left = [start for start in shelf_of(driver) if start.header is not None and start.header["model"] == "lr"]
    assert len(keys) == 20
    assert len(left) < 15
    assert max(positions(left)) == 100
