"""`produce` and `tail` as a user runs them, judged by the clients of others."""

from __future__ import annotations

import gzip
import json
import signal
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import fastavro
import pytest
from cli.conftest import Cli, Declare
from support.kafka import produce, read_all

pytestmark = pytest.mark.kafka

EVENTS = "at,x,kind,y\n2024-01-01T00:00:00Z,1.5,a,true\n2024-01-01T00:30:00Z,2,,false\n2024-01-01T01:00:00Z,-3e2,b,1\n"
NEW_YEAR = 1_704_067_200_000
HOUR = 3_600_000


def values(cli: Cli, topic: str) -> list[dict[str, object]]:
    """The values of a topic in JSON, by key."""
    messages = read_all(cli.env["STREAMML_BOOTSTRAP"], topic)
    return [json.loads(m.value() or b"") for m in sorted(messages, key=lambda m: m.key() or b"")]


JSON = (
    'events=Events(EVENT, id="id", time="at", format="json"), '
    'feedback=Feedback(LABEL, id="id", label="y", time="known", format="json")'
)


def test_a_file_becomes_events_and_their_feedback(
    on_kafka: Cli, declare: Declare, app_name: str, tmp_path: Path
) -> None:
    shop = declare(changes=JSON)
    on_kafka.ok("apply", shop, "--yes")
    (tmp_path / "shop.csv.gz").write_bytes(gzip.compress(EVENTS.encode()))
    events = on_kafka.run("produce", shop, "events", "shop.csv.gz", "--id-prefix", "row-")
    assert (events.code, events.err) == (0, f"3 records sent to {app_name}.events\n")
    on_kafka.ok("produce", shop, "feedback", "shop.csv.gz", "--id-prefix", "row-", "--delay", "1h", "--rate", "1000")
    assert values(on_kafka, f"{app_name}.events") == [
        {"id": "row-0", "at": NEW_YEAR, "x": 1.5, "kind": "a"},
        {"id": "row-1", "at": NEW_YEAR + HOUR // 2, "x": 2.0, "kind": None},
        {"id": "row-2", "at": NEW_YEAR + HOUR, "x": -300.0, "kind": "b"},
    ]
    assert values(on_kafka, f"{app_name}.feedback") == [
        {"id": "row-0", "y": True, "known": NEW_YEAR + HOUR},
        {"id": "row-1", "y": False, "known": NEW_YEAR + HOUR * 3 // 2},
        {"id": "row-2", "y": True, "known": NEW_YEAR + HOUR * 2},
    ]


@pytest.mark.registry
def test_avro_is_read_by_the_clients_of_others(
    on_kafka: Cli, declare: Declare, app_name: str, tmp_path: Path, registry: str
) -> None:
    shop = declare()
    lines = [json.dumps({"id": f"e{i}", "at": i, "price": i / 2}) for i in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    on_kafka.ok("apply", shop, "--yes", "--registry", registry)
    options = ["--columns", "x=price", "--limit", "3", "--skip", "1", "--registry", registry]
    assert "3 records" in on_kafka.run("produce", shop, "events", "a.jsonl", *options).err
    found: dict[bytes | None, Any] = {}
    for message in read_all(on_kafka.env["STREAMML_BOOTSTRAP"], f"{app_name}.events"):
        value = message.value() or b""
        with urlopen(f"{registry}/schemas/ids/{int.from_bytes(value[1:5], 'big')}") as answer:
            schema = json.loads(json.load(answer)["schema"])
        found[message.key()] = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
    assert {key: value["x"] for key, value in found.items()} == {b"e1": 0.5, b"e2": 1.0, b"e3": 1.5}
    shown = on_kafka.ok("tail", shop, "events", "--no-follow", "--json", "--registry", registry)
    assert {line["value"]["x"] for line in map(json.loads, shown.splitlines())} == {0.5, 1.0, 1.5}


def test_a_bad_row_stops_or_is_skipped(on_kafka: Cli, declare: Declare, app_name: str, tmp_path: Path) -> None:
    shop = declare(changes=JSON)
    on_kafka.ok("apply", shop, "--yes")
    (tmp_path / "bad.csv").write_text("id,at,x\na,1,1\nb,2,abc\nc,3\nd,4,4\n")
    ran = on_kafka.run("produce", shop, "events", "bad.csv")
    assert (ran.code, ran.err.splitlines()) == (
        1,
        [
            f"1 records sent to {app_name}.events, 1 refused",
            "error: bad.csv:3: row 1: field x is 'abc' (str); expected a number; "
            "correct the row, or go on past such rows with --on-error skip",
        ],
    )
    ran = on_kafka.run("produce", shop, "events", "bad.csv", "--on-error", "skip")
    assert (ran.code, ran.err.splitlines()) == (
        0,
        [
            "error: bad.csv:3: row 1: field x is 'abc' (str); expected a number",
            "error: bad.csv:4: row 2: 2 cells, but the header names 3 columns",
            f"2 records sent to {app_name}.events, 2 refused",
        ],
    )
    assert [value["id"] for value in values(on_kafka, f"{app_name}.events")] == ["a", "a", "d"]


def test_what_cannot_be_produced_is_one_line(on_kafka: Cli, declare: Declare, tmp_path: Path) -> None:
    shop = declare()
    (tmp_path / "a.csv").write_text("at,x\n1,2\n")
    said = {
        ("events", "none.csv"): "No such file",
        ("events", "a.csv", "--columns", "y=x"): "no field 'y' in the schema of events",
        ("feedback", "a.csv"): "no column for the field 'y' of feedback; name it with --columns y=COLUMN",
        ("feedback", "a.csv", "--delay", "soon"): "is no time",
        ("events", "a.csv"): "is not registered: run `streamml apply` first",
    }
    runs = on_kafka.run_all(["produce", shop, *arguments] for arguments in said)
    for expected, ran in zip(said.values(), runs, strict=True):
        assert expected in (ran.err.splitlines() or [""])[-1]
        assert ran.code == 1


def test_tail_shows_what_there_is(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    shop = declare(changes="partitions=1")
    on_kafka.ok("apply", shop, "--yes")
    produce(on_kafka.env["STREAMML_BOOTSTRAP"], f"{app_name}.events", [(b"k\x1b[2J", b"no avro"), (b"\xff", None)])
    bad, gone = on_kafka.ok("tail", shop, "events", "--no-follow").splitlines()
    assert "\x1b" not in bad
    assert "expected 0x00 of the Confluent wire format" in bad
    assert "no avro" in bad
    assert gone.endswith("0xff  null")
    (line,) = on_kafka.ok("tail", shop, "events", "--json", "--from", "-1", "--limit", "1").splitlines()
    assert json.loads(line) | {"timestamp": 0} == {
        "topic": f"{app_name}.events",
        "partition": 0,
        "offset": 1,
        "timestamp": 0,
        "key": "0xff",
        "value": None,
    }
    assert on_kafka.ok("tail", shop, "control", "--no-follow") == ""
    assert f"{app_name} has no topic 'alert'" in on_kafka.error("tail", shop, "alert")
    assert "give beginning, end, or an offset" in on_kafka.error("tail", shop, "events", "--from", "now")


def test_tail_follows_until_ctrl_c_or_until_nobody_reads(on_kafka: Cli, declare: Declare, app_name: str) -> None:
    shop = declare()
    on_kafka.ok("apply", shop, "--yes")
    two = [on_kafka.start("tail", shop, "events") for _ in range(2)]
    for i, follower in enumerate(two):
        assert follower.stdout is not None
        produce(on_kafka.env["STREAMML_BOOTSTRAP"], f"{app_name}.events", [(b"%d" % i, b"x")])
        assert follower.stdout.readline()
    two[0].send_signal(signal.SIGINT)
    ran = on_kafka.end(two[0])
    assert (ran.code, ran.err) == (130, "")
    head = two[1]
    assert head.stdout is not None
    assert head.stderr is not None
    head.stdout.close()
    produce(on_kafka.env["STREAMML_BOOTSTRAP"], f"{app_name}.events", [(b"%d" % i, b"x") for i in range(100)])
    assert (head.wait(30), head.stderr.read()) == (1, "")
