"""Ten thousand mutated records, always the same ones: each is valid or in quarantine, and none is lost or raises."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from agents.elec2 import Bench, records, rows, to_json, topology

from streamml.agents.quarantine import REASON

COUNT = 10_000
SEED = 20_261_124
PIECES = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\0\0\0\0\0\0\xf0\x7f",
    b"\0\0\0\0\0\0\xf8\x7f",
    b"\xa0\xc8\xeb\x85\xf3\xcc\xe1\x7f",
    b"\x80" * 12,
    b"null",
    b"true",
    b"NaN",
    b"1e308",
    b"-",
    b'"',
    b"}",
    b"[[[[",
    b"1" + b"0" * 400,
    b"\\ud800",
    b"\xed\xa0\x80",
]


def mutated(random: Random, data: bytes) -> bytes | None:
    """One to three changes: a bit, a byte, a cut, a piece put in or over, a stretch doubled or dropped, all lost."""
    for _ in range(random.randint(1, 3)):
        at, piece = random.randrange(len(data) + 1), random.choice(PIECES)
        end = min(len(data), at + random.randint(1, 16))
        kind = random.randrange(9)
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        elif kind == 1 and at < len(data):
            data = data[:at] + random.randbytes(1) + data[at + 1 :]
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + piece + data[at:]
        elif kind == 4:
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == 5:
            data = data[:end] + data[at:]
        elif kind == 6:
            data = data[:at] + data[end:]
        elif kind == 7:
            data = data[:at] + random.randbytes(random.randint(0, 20)) + data[end:]
        elif random.random() < 0.02:
            return None
    return data


@pytest.mark.parametrize("format", ["avro", "json"])
def test_ten_thousand_mutated_records(format: Any) -> None:
    bench, random, source = Bench(topology(format)), Random(SEED), rows(500)
    now = source[-1][0]["timestamp"]
    events = [(bench.event.encode if format == "avro" else to_json)(event) for event, _ in source]
    labels = [
        (bench.label.encode if format == "avro" else to_json)({"id": e["id"], "class": c, "time": now})
        for e, c in source
    ]
    for role, good, judge in (
        ("events", events, bench.judged),
        ("feedback", labels, bench.validate.labels),
    ):
        batch = records(role, [mutated(random, random.choice(good)) for _ in range(COUNT)])
        valid, refused = judge(batch, now)
        assert len(valid) + len(refused) == COUNT
        assert len(refused) > COUNT // 2
        assert len(valid) > COUNT // 100
        offsets = {bench.reasons.decode(dict(headers)[REASON])["offset"] for *_, headers in refused}
        assert len(offsets) == len(refused)
        for key, value, timestamp, headers in refused:
            original = batch[bench.reasons.decode(dict(headers)[REASON])["offset"]]
            assert (key, value, timestamp) == (*original[4:6], original.timestamp)
    # The mutations reach every kind of refusal that the format knows.
    kinds = {"avro": {"truncated", "magic", "schema_id", "malformed", "trailing", "finite"}, "json": {"json", "schema"}}
    assert bench.validate.counts.keys() >= kinds[format]
