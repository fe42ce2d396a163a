"""The topology that is fuzzed: an event with a field of every shape that a mutation can break."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from support.tiny import EVENT, LABEL, START, tiny

from streamml import Events, Feedback, Topology

FIELDS: list[dict[str, Any]] = [
    *EVENT["fields"],
    {"name": "station", "type": ["null", "string", "int"], "default": None},
    {"name": "sky", "type": {"type": "enum", "name": "Sky", "symbols": ["CLEAR", "CLOUDS", "FOG"]}},
    {"name": "gusts", "type": {"type": "array", "items": "float"}},
    {"name": "notes", "type": {"type": "map", "values": "string"}},
    {"name": "raw", "type": "bytes"},
    {"name": "manual", "type": "boolean"},
]


def fuzzed(name: str, format: Any) -> Topology:
    """Mutated times far ahead are refused, for events and labels; those far back are within the horizon."""
    return tiny(
        name,
        partitions=2,
        events=Events({**EVENT, "fields": FIELDS}, id="id", time="at", format=format),
        feedback=Feedback(LABEL, id="id", label="rain", time="at", format=format, horizon=timedelta(days=20_000)),
        rules=(),
        detectors=(),
    )


def topology_file(folder: Path, name: str, format: str) -> Path:
    """A user's file that declares it."""
    file = folder / "fuzzed.py"
    file.write_text(f"from fuzz.fields import fuzzed\n\ntopology = fuzzed({name!r}, {format!r})\n")
    return file


def event(number: int, id: str) -> dict[str, Any]:
    """A good event."""
    return {
        "id": id,
        "at": START + number * 60_000,
        "temperature": float((number * 7) % 31),
        "pressure": 1000.0 + (number * 13) % 23,
        "station": [None, "Oslo", 7][number % 3],
        "sky": ["CLEAR", "CLOUDS", "FOG"][number % 3],
        "gusts": [float(number % 4), 2.5],
        "notes": {"by": "ann"},
        "raw": "abc",
        "manual": number % 2 == 0,
    }
