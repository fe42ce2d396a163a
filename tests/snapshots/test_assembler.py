"""Snapshots that come whole out of a log in any state, and those that must not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamml.errors import SnapshotError
from streamml.snapshots import CHUNK, Assembler, Snapshot, environment, seal
from streamml.snapshots import sealing as sealing_module

KEY = b"a signing key"
Chunks = list[tuple[str, dict[str, Any]]]


def sealed(payload: bytes = b"payload", position: int = 5, key: bytes | None = KEY, model: str = "lr") -> Chunks:
    return seal(payload, model=model, digest="d" * 16, position=position, offset=9, at=1_000, key=key)


def assemble(chunks: Chunks, key: bytes | None = KEY) -> Snapshot | None:
    assembler = Assembler(key)
    found = None
    for _, record in chunks:
        found = assembler.add(record) or found
    return found


def test_a_snapshot_comes_back() -> None:
    payload = bytes(range(256)) * 5_000
    chunks = sealed(payload)
    assert [key for key, _ in chunks] == ["lr/5/0", "lr/5/1", "lr/5/2"]
    assert all(len(record["payload"]) <= CHUNK for _, record in chunks)
    snapshot = assemble(chunks)
    assert snapshot is not None
    assert snapshot.payload == payload
    header = snapshot.header
    assert (header["model"], header["position"], header["offset"], header["at"]) == ("lr", 5, 9, 1_000)
    assert header["environment"] == environment()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4), st.data())
def test_chunks_in_any_order_doubled_mixed_and_torn(payloads: list[bytes], data: st.DataObject) -> None:
    log: list[dict[str, Any]] = []
    whole = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing_module, "CHUNK", 4)
        for position, payload in enumerate(payloads):
            chunks = [record for _, record in sealed(payload, position)]
            kept = data.draw(st.lists(st.sampled_from(range(len(chunks))), max_size=2 * len(chunks)))
            log += [chunks[i] for i in kept]
            if set(kept) == set(range(len(chunks))):
                whole[position] = payload
        assembler = Assembler(KEY)
        found = {}
        for record in data.draw(st.permutations(log)):
            if (snapshot := assembler.add(record)) is not None:
                found[snapshot.header["position"]] = snapshot.payload
    assert found == whole


def altered(change: str) -> Chunks:
    chunks = copy.deepcopy(sealed())
    _, record = chunks[0]
    header = record["header"]
    match change:
        case "payload":
            record["payload"] = b"Payload"
        case "shorter":
            record["payload"] = b"payloa"
        case "signature":
            header["signature"] = "0" * 64
        case "unsigned":
            header["signature"] = None
        case "position" | "offset" | "at" | "size":
            header[change] += 1
        case "sha256":
            header["sha256"] = "0" * 64
        case "environment":
            header["environment"] = {**header["environment"], "river": "0.25.0"}
        case _:
            header[change] = "other"
    return chunks


CHANGES = [
    "payload",
    "shorter",
    "signature",
    "unsigned",
    "position",
    "offset",
    "at",
    "size",
    "sha256",
    "model",
    "digest",
    "environment",
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_altered_is_refused(change: str) -> None:
    with pytest.raises(SnapshotError, match="replaying the log instead"):
        assemble(altered(change))


def test_another_key_is_refused_and_an_unsigned_one_too() -> None:
    with pytest.raises(SnapshotError, match="not signed with this STREAMML_SIGNING_KEY"):
        assemble(sealed(key=b"another"))
    with pytest.raises(SnapshotError, match="is not signed, and STREAMML_SIGNING_KEY is set"):
        assemble(sealed(key=None))
    assert assemble(sealed(key=None), key=None) is not None
    assert assemble(sealed(key=KEY), key=None) is not None


def test_without_a_key_a_torn_payload_is_still_refused() -> None:
    with pytest.raises(SnapshotError, match="torn"):
        assemble(altered("payload"), key=None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("river", "0.25.0", "river 0.25.0 is not "),
        ("python", "3.9.1", "python 3.9 is not "),
        ("numpy", "1.0", "numpy 1.0 is not "),
        ("hash_seed", "7", "hash seed 7 is not "),
        ("platform", "linux-aarch64", "platform linux-aarch64 is not "),
    ],
)
def test_another_environment_is_refused(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {**environment(), name: value}
    monkeypatch.setattr(sealing_module, "environment", lambda: theirs)
    chunks = sealed()
    with pytest.raises(SnapshotError, match=said):
        assemble(chunks)


def test_a_patch_of_python_and_another_scipy_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    python = ".".join([*environment()["python"].split(".")[:2], "999"])
    monkeypatch.setattr(sealing_module, "environment", lambda: {**environment(), "python": python, "scipy": "0"})
    assert assemble(sealed()) is not None


def test_a_refused_snapshot_does_not_spoil_the_next() -> None:
    assembler = Assembler(KEY)
    with pytest.raises(SnapshotError):
        assembler.add(altered("payload")[0][1])
    assert assembler.add(sealed()[0][1]) is not None


@pytest.mark.parametrize(("field", "value"), [("chunk", 1), ("chunk", -1)])
def test_a_chunk_that_the_header_rules_out(field: str, value: int) -> None:
    record = {**sealed()[0][1], field: value}
    with pytest.raises(SnapshotError, match="rules out"):
        Assembler(KEY).add(record)


def test_a_later_format_is_refused() -> None:
    record = sealed()[0][1]
    record["header"]["format"] = 2
    with pytest.raises(SnapshotError, match="format 2"):
        Assembler(KEY).add(record)


def test_leftovers_of_thinned_snapshots_do_not_pile_up() -> None:
    assembler = Assembler(KEY)
    for position in range(100):
        assembler.add(sealed(b"x" * (CHUNK + 1), position)[0][1])
    assert len(assembler._parts) <= 8


def test_an_empty_payload() -> None:
    snapshot = assemble(sealed(b""))
    assert snapshot is not None
    assert snapshot.payload == b""
