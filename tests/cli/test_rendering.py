"""One record, one line: of every role, and whatever its bytes."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Any

import pytest

from streamml import load_topology
from streamml.agents.quarantine import REASON, Quarantine
from streamml.cli.rendering import Renderer
from streamml.engine.catalog import Catalog
from streamml.records import LogRecord, Role
from streamml.runtime.tail import Decoder
from streamml.schemas import Registry
from streamml.snapshots import seal

CATALOG = Catalog.in_memory(load_topology("electricity"))


class Store:
    """A schema store that has all there is."""

    def __init__(self) -> None:
        self.registry: Registry = CATALOG.registry

    async def resolve(self, ids: Set[int]) -> None:
        return None


def render(
    role: Role, value: bytes | None, *headers: tuple[str, bytes], key: bytes | None = b"k"
) -> tuple[str, dict[str, Any]]:
    """The line for a person, and the JSON object."""
    renderer = Renderer(CATALOG.topology, role, Decoder(Store()))
    record = LogRecord(f"electricity.{role}", 3, 14, 1_704_067_200_000, key, value, headers)
    line, found = renderer.line(record), json.loads(renderer.json(record))
    assert "\n" not in line
    assert line.isprintable()
    assert (found["partition"], found["offset"], found["timestamp"]) == (3, 14, 1_704_067_200_000)
    return line, found


def test_an_event() -> None:
    event = {"id": "1", "timestamp": 5, "day": 2}
    whole = event | dict.fromkeys(("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"), 0.5)
    line, found = render("events", CATALOG.codec("events").encode(whole))
    assert line.startswith('3@14       2024-01-01T00:00:00.000Z k  {"id":"1","timestamp":5,"day":2,"period":0.5,')
    assert found["value"] == whole


def test_a_snapshot_shows_its_header_and_the_size_of_its_payload() -> None:
    ((_, chunk),) = seal(b"\x80" * 1_000, model="lr", digest="d", position=7, offset=9, at=1, key=None)
    line, found = render("models", CATALOG.codec("models").encode(chunk))
    assert found["value"]["payload"] == 1_000
    assert found["value"]["header"]["position"] == 7
    assert len(line) < 700


def test_a_refused_record_shows_why_and_how_it_begins() -> None:
    bad = LogRecord("electricity.events", 0, 5, 0, b"k", b"\x00\x01" + b"x" * 100)
    key, value, _, headers = Quarantine(CATALOG.codec("quarantine"), "validate").refuse(bad, "magic", "no header", 99)
    line, found = render("quarantine", value, *headers, key=key)
    assert found["reason"] | {"field": None} == {
        "topic": "electricity.events",
        "partition": 0,
        "offset": 5,
        "agent": "validate",
        "rule": "magic",
        "field": None,
        "error": "no header",
        "at": 99,
    }
    assert found["size"] == 102
    assert found["bytes"].startswith("\\x00\\x01xxx")
    assert '"rule":"magic"' in line


@pytest.mark.parametrize(
    ("role", "value", "headers", "said"),
    [
        ("events", b"", (), "no bytes"),
        ("events", b"\x00\x00\x00\x00\x07abc", (), "schema id 7 is unknown"),
        ("events", b"\x1b[2J\xff", (), "0x1b"),
        ("schemas", b"{", (), "not JSON"),
        ("quarantine", None, (), f"no header {REASON}"),
        ("quarantine", b"x", ((REASON, b"nonsense"),), "Confluent wire format"),
    ],
)
def test_what_cannot_be_decoded_says_why(
    role: Role, value: bytes | None, headers: tuple[tuple[str, bytes], ...], said: str
) -> None:
    line, found = render(role, value, *headers)
    assert said in found["error"]
    assert said in line


def test_tombstones_changelogs_and_odd_keys() -> None:
    assert render("events", None)[1]["value"] is None
    assert render("match-changelog", b"\x01raw")[1]["bytes"] == "\\x01raw"
    assert render("events", None, key=None)[0].endswith("-  null")
    assert render("events", None, key=b"\xfe\x1b")[1]["key"] == "0xfe1b"
