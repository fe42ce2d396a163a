"""`models` as a person runs it, against a worker that answers; and without one."""

from __future__ import annotations

import getpass
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli.conftest import Cli, Declare
from support.kafka import produce
from support.processes import eventually, get, get_json, running

from streamml.engine.catalog import Catalog
from streamml.runtime.commanding import command_of
from streamml.topology import load_topology

pytestmark = pytest.mark.kafka

CHANGES = """
    models=(Model("prior", lambda: river("dummy").PriorClassifier()), Model("lr", lr)),
    gate=Gate(minimum=40), snapshots=Snapshots(every=20), window=10, partitions=1,
"""
START = 1_700_000_000_000


class Shop:
    """An applied topology whose challenger soon is better than its champion."""

    def __init__(self, cli: Cli, file: str) -> None:
        self.cli, self.file, self.count = cli, file, 0
        cli.ok("apply", file, "--yes")

    @contextmanager
    def worker(self) -> Iterator[str]:
        """The address of its pages; it is ready."""
        arguments = ("run", str(self.cli.folder / self.file), "--web-port", "0", "--log-format", "text")
        with running("-m", "streamml", *arguments, env=self.cli.env) as process:
            url = process.line("status on ").rpartition("status on ")[2].rstrip("/")
            eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)
            yield url
            assert process.end(signal.SIGTERM) == 0
        assert not [line for line in process.lines if "Traceback" in line or " ERROR " in line]

    def examples(self, count: int) -> None:
        """As many events with their labels."""
        events, feedback = ["id,at,x,kind"], ["id,y,known"]
        for n in range(self.count, self.count + count):
            events.append(f"{n},{START + n * 1_000},{n % 7},")
            feedback.append(f"{n},{'true' if n % 7 > 3 else 'false'},{START + 500 + n * 1_000}")
        self.count += count
        for role, lines in (("events", events), ("feedback", feedback)):
            (self.cli.folder / f"{role}.csv").write_text("\n".join(lines) + "\n")
            self.cli.ok("produce", self.file, role, f"{role}.csv")

    def learned(self, url: str, model: str) -> bool:
        """Whether the worker's newest window of that model ends with the newest example."""
        return f'streamml_metric_window{{model="{model}"}} {self.count / 10 - 1}' in get(f"{url}/metrics")[1].decode()

    def models(self, command: str, *arguments: str) -> str:
        return self.cli.ok("models", command, self.file, *arguments)

    def refused(self, command: str, *arguments: str) -> str:
        """What is said where the answer is no."""
        ran = self.cli.run("models", command, self.file, *arguments)
        assert (ran.code, ran.err) == (1, "")
        (line,) = ran.out.splitlines()
        return line

    def looked_at_while_it_runs(self) -> None:
        """100 examples; lr was paused, resumed, and promoted by the gate."""
        asked = (
            ("list", "--json"),
            ("show", "lr", "--json"),
            ("verify",),
            ("rollback", "lr@101"),
            ("exclude", "--from", "90", "--to", "101", "--reason", "x"),
        )
        listed, shown, verified, back, out = self.cli.run_all(
            [("models", command, self.file, *rest) for command, *rest in asked]
        )
        rows = {row["model"]: row for row in map(json.loads, listed.out.splitlines())}
        assert [rows[name]["champion"] for name in ("prior", "lr")] == [False, True]
        assert rows["lr"]["window"]["position"] == rows["prior"]["window"]["position"] == 100
        assert rows["lr"]["window"]["cumulative"] > rows["prior"]["window"]["cumulative"]
        told = json.loads(shown.out)
        pause, resume, *_, promote = told["decisions"]
        assert (pause["action"], pause["command"], pause["reason"]) == ("pause", 0, "not yet")
        author = f"{getpass.getuser()}@{socket.gethostname()}"
        assert (resume["action"], resume["asked_by"], resume["reason"]) == ("resume", author, f"asked for by {author}")
        assert (promote["action"], promote["author"]) == ("promote", "gate")
        assert told["race"]["evidence"] == promote["evidence"]
        assert [snapshot["position"] for snapshot in told["snapshots"]][-1] == rows["lr"]["snapshot"]
        assert (verified.code, verified.out.partition(" from ")[2]) == (0, "20 windows of metrics: all identical\n")
        for never in (back, out):
            line = self.cli.error_of(never)
            assert line.endswith(
                "examples holds 100 examples, so there is no position 101 yet: give a position up to 100"
            )

    def looked_at_afterwards(self) -> None:
        """lr~1 was forked, promoted, left, and taken back as of 55; prior was retired."""
        asked = (("list",), ("show", "lr~1", "--json"), ("verify", "--json"))
        listed, shown, verified = self.cli.run_all([("models", command, self.file, *rest) for command, *rest in asked])
        _, *lines = listed.out.splitlines()
        assert [line.split()[:2] for line in lines] == [["prior", "retired"], ["lr", "racing"], ["lr~1", "champion,"]]
        told, report = json.loads(shown.out), json.loads(verified.out)
        assert (told["pinned"], told["excluded"], told["declared_as"]) == (55, [[3, 10]], "lr")
        assert [reign["position"] for reign in told["reigns"]] == [None, 55]
        accepted = [decision["action"] for decision in told["decisions"] if decision["accepted"]]
        assert accepted == ["exclude", "promote", "rollback"]
        assert told["decisions"][-1]["reason"] == "lr~1@55 serves already"
        assert (report["identical"], report["different"]) == (len(report["decisions"]), 0)


@pytest.fixture
def shop(on_kafka: Cli, declare: Declare) -> Shop:
    return Shop(on_kafka, declare(changes=CHANGES))


@pytest.mark.timeout(300)
def test_a_life_by_commands(shop: Shop) -> None:
    cli, file = shop.cli, shop.file
    unanswered = cli.error("models", "pause", file, "lr", "--wait", "0.2", "--reason", "not yet")
    assert "no `govern` has answered within 0.2 s: the command stands in the log, control@0, and" in unanswered

    with shop.worker() as url:
        # What was asked for meanwhile is answered when someone is there to do it.
        eventually(lambda: [d["action"] for d in get_json(f"{url}/status.json")["decisions"]], lambda d: "pause" in d)
        assert shop.models("resume", "lr") == "accepted: lr learns on from where it was\n"
        # Who was paused joins the race after what the others have done by then.
        for count in (20, 80):
            shop.examples(count)
            eventually(lambda: shop.learned(url, "prior") and shop.learned(url, "lr"))
        eventually(lambda: get_json(f"{url}/status.json")["champion"], lambda name: name == "lr")
        shop.looked_at_while_it_runs()

        forked = shop.models("exclude", "--from", "3", "--to", "10", "--reason", "a bad sensor")
        assert forked.startswith("accepted: lr~1 is lr without the positions 3 to 9; it learns beside the others;")
        assert f"`streamml models promote {file} lr~1`" in forked
        eventually(lambda: shop.learned(url, "lr~1"))
        promote = ("models", "promote", file, "lr~1", "--reason", "it is clean")
        ran = eventually(lambda: cli.run(*promote), lambda ran: ran.code == 0)
        assert ran.out == "accepted: lr~1 is the champion\n"
        assert shop.models("rollback") == "accepted: lr is the champion again\n"
        assert shop.models("rollback", "lr~1@55").startswith("accepted: lr~1@55 serves, frozen there until another")
        assert shop.refused("rollback", "lr~1@55") == "refused: lr~1@55 serves already"
        assert shop.models("retire", "prior") == "accepted: prior learns no more, for good\n"
    shop.looked_at_afterwards()


def test_a_figure_that_was_not_counted_so_is_found_out(shop: Shop, kafka: str) -> None:
    topology = load_topology(str(shop.cli.folder / shop.file))
    catalog = Catalog.in_memory(topology)
    decision = {
        **command_of("promote", "lr", reason="it is better", author="gate", at=START),
        "kind": "decision",
        "accepted": True,
        "evidence": {"examples": 10.0, "share": 0.75, "first_position": 0.0, "metrics_offset": -1.0},
    }
    produce(kafka, topology.topic("control"), [(None, catalog.codec("control").encode(decision))])
    ran = shop.cli.run("models", "verify", shop.file)
    assert ran.code == 1
    first, *_, last = ran.err.splitlines()
    assert first.startswith("error: control@0, promote lr accepted: examples is recorded as 10.0, counted again it is ")
    assert last.startswith("if the gate, the window or the models were declared otherwise then, verify with the file")
    assert ran.out == "1 decision of the gate counted again from 0 windows of metrics; 1 different\n"


def test_a_mistake_is_one_line(on_kafka: Cli, cli: Cli, declare: Declare) -> None:
    file = declare(changes=CHANGES)
    exclude = ("models", "exclude", file, "--from", "5", "--to")
    alone = [("models", "promote", file, "lr"), ("models", "rollback", file, "lr@"), (*exclude, "5", "--reason", "x")]
    unreached, no_place, no_range, no_reason = cli.run_all([*alone, (*exclude, "9")])
    assert "no Kafka broker answers" in cli.error_of(unreached)
    assert "'lr@' is no model at a position" in cli.error_of(no_place)
    assert "the positions 5 to 5 are no range" in cli.error_of(no_range)
    assert no_reason.code == 2
    assert "is not registered as it is now: run `streamml apply` first" in on_kafka.error("models", "list", file)
