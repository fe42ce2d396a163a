"""Each user may do what `streamml acl` lists for it and nothing else: that is enough, and no less is."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Cli, Declare, Ran
from security.secured import ADMIN, Secured
from support.processes import Process, eventually, get, get_json, running

from streamml.engine.access import Grant

pytestmark = [pytest.mark.kafka, pytest.mark.faults]
ROWS = 24


class Shop:
    """A topology on the secured broker, and the people around it."""

    def __init__(self, broker: Secured, cli: Cli, file: str, name: str) -> None:
        self.broker, self.cli, self.file, self.name = broker, cli, file, name

    def grants(self, *options: str) -> list[Grant]:
        """What the command line lists."""
        lines = [json.loads(line) for line in self.cli.ok("acl", self.file, "--json", *options).splitlines()]
        return [Grant(g["resource"], g["name"], g["operation"], g["pattern"]) for g in lines]

    def allow(self, user: str, *options: str) -> None:
        self.broker.grant(user, self.grants(*options))

    def run(self, user: str, command: str, *arguments: str) -> Ran:
        return self.cli.run(command, self.file, *arguments, "--properties", str(self.broker.properties(user)))

    def done(self, user: str, command: str, *arguments: str) -> str:
        ran = self.run(user, command, *arguments)
        assert ran.code == 0, ran.err
        return ran.out

    @contextmanager
    def worker(self) -> Iterator[Process]:
        arguments = ("run", str(self.cli.folder / self.file), "--web-port", "0", "--log-format", "text")
        properties = ("--bootstrap", self.broker.bootstrap, "--properties", str(self.broker.properties("worker")))
        with running("-m", "streamml", *arguments, *properties) as process:
            yield process

    def files(self) -> None:
        """Events and their labels."""
        events, feedback = ["id,at,x,kind"], ["id,y,known"]
        for n in range(ROWS):
            events.append(f"{n},{1_700_000_000_000 + n * 1_000},{n % 7},")
            feedback.append(f"{n},{'true' if n % 7 > 3 else 'false'},{1_700_000_000_500 + n * 1_000}")
        events.append("far,4102444800000,1,")  # In the year 2100: refused.
        (self.cli.folder / "events.csv").write_text("\n".join(events) + "\n")
        (self.cli.folder / "feedback.csv").write_text("\n".join(feedback) + "\n")

    def produce(self) -> None:
        for role in ("events", "feedback"):
            self.done("producer", "produce", role, f"{role}.csv")

    def read(self, user: str, role: str) -> list[Any]:
        out = self.done(user, "tail", role, "--json", "--no-follow")
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def shop(broker: Secured, cli: Cli, declare: Declare, app_name: str) -> Shop:
    shop = Shop(broker, cli, declare(), app_name)
    shop.files()
    return shop


def address(process: Process) -> str:
    return process.line("status on ").rpartition("status on ")[2].rstrip("/")


def test_what_is_listed_is_enough_for_everyone(shop: Shop) -> None:
    shop.allow("applier", "--for", "apply")
    shop.allow("worker")
    shop.allow("producer", "--for", "produce")
    shop.allow("reader", "--for", "tail", "--topics", "predictions,examples")
    assert "15 topics created" in shop.done("applier", "apply", "--yes")
    assert "nothing to do" in shop.done("applier", "apply", "--yes")
    with shop.worker() as process:
        url = address(process)
        eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)
        shop.produce()
        learned = eventually(
            lambda: get_json(f"{url}/status.json")["models"][0]["position"], lambda position: position == ROWS
        )
        assert process.end(signal.SIGTERM) == 0
    assert not [line for line in process.lines if " ERROR " in line or " WARNING " in line]
    predictions, examples = shop.read("reader", "predictions"), shop.read("reader", "examples")
    assert (len(predictions), len(examples), learned) == (ROWS, ROWS, ROWS)
    shop.allow("replayer", "--for", "replay")
    properties = ("--properties", str(shop.broker.properties("replayer")))
    for _ in range(2):
        replay = shop.cli.run("quarantine", "replay", shop.file, "--yes", *properties)
        assert replay.code == 0, replay.err
    listed = shop.cli.run("quarantine", "list", shop.file, "--json", *properties)
    assert [json.loads(line)["replayed"] is not None for line in listed.out.splitlines()] == [True]
    doctor = shop.done("worker", "doctor")
    assert "ok   topics    all there" in doctor
    assert "ok   schemas   all 11 registered" in doctor


@pytest.mark.parametrize(
    ("resource", "ending", "operation"),
    [
        ("topic", ".events", "Read"),
        ("topic", ".alerts", "Read"),
        ("topic", ".schemas", "Read"),
        ("topic", ".models", "DescribeConfigs"),
        ("topic", ".match-changelog", "Write"),
        ("group", ".match", "Read"),
        ("group", ".host.", "Read"),
        ("transactional-id", "-score-", "Write"),
    ],
)
def test_with_one_permission_less_a_worker_ends_with_a_line_that_names_it(
    shop: Shop, resource: str, ending: str, operation: str
) -> None:
    shop.done(ADMIN, "apply", "--yes")
    shop.allow("producer", "--for", "produce")
    shop.produce()
    grants = shop.grants()
    (missing,) = [g for g in grants if (g.resource, g.operation) == (resource, operation) and g.name.endswith(ending)]
    shop.broker.grant("worker", [grant for grant in grants if grant != missing])
    with shop.worker() as process:
        assert process.end() == 1
    assert not [line for line in process.lines if "Traceback" in line]
    said = [line for line in process.lines if " ERROR " in line or line.startswith("error: ")]
    assert len(said) == 1, process.lines
    assert missing.name.rstrip(".") in said[0]


def test_nobody_does_what_another_may(shop: Shop) -> None:
    shop.done(ADMIN, "apply", "--yes")
    shop.allow("producer", "--for", "produce")
    shop.allow("reader", "--for", "tail")
    for user, command in (
        ("stranger", ("apply", "--dry-run")),
        ("stranger", ("tail", "events", "--no-follow")),
        ("reader", ("tail", "examples", "--no-follow")),
        ("producer", ("tail", "predictions", "--no-follow")),
        ("reader", ("produce", "events", "events.csv")),
    ):
        line = shop.cli.error_of(shop.run(user, *command))
        assert "this user may not see it" in line, (user, command)
        assert f"topic {shop.name}." in line
    # What one may write to, one may see, but not read.
    shop.produce()
    line = shop.cli.error_of(shop.run("producer", "tail", "events", "--no-follow"))
    assert f"{shop.name}.events" in line
    assert "permissions" in line or "streamml acl" in line


def test_the_commands_grant_what_is_listed(shop: Shop, cli: Cli) -> None:
    lines = cli.ok("acl", shop.file, "--principal", "User:worker", "--only", "score").splitlines()
    found = set()
    for line in lines:
        words = line.split()
        assert words[0] == "kafka-acls.sh"
        for operation in [words[at + 1] for at, word in enumerate(words) if word == "--operation"]:
            (resource,) = {w.removeprefix("--") for w in words} & {"topic", "group", "transactional-id"}
            pattern = "prefixed" if "prefixed" in words else "literal"
            found.add((resource, words[words.index(f"--{resource}") + 1], operation, pattern))
    assert found == {tuple(grant) for grant in shop.grants("--only", "score")}


def wrong(broker: Secured, user: str, folder: Path) -> dict[str, Path]:
    """Files of properties with which nobody gets in."""
    other = folder / "other.pem"
    other.write_bytes(broker.another_authority())
    return {
        "the password": broker.properties(user, sasl_password="not-this-one"),
        "the authority": broker.properties(user, ssl_ca_location=str(other)),
        "the mechanism": broker.properties(user, sasl_mechanism="PLAIN"),
    }


def test_a_wrong_password_or_authority_is_one_line_at_once(shop: Shop) -> None:
    for what, file in wrong(shop.broker, "worker", shop.cli.folder).items():
        ran = shop.cli.run("run", shop.file, "--wait", "60", "--web-port", "0", "--properties", str(file))
        (line,) = [line for line in ran.err.splitlines() if line.strip()]
        assert ran.code == 1
        assert "refuses this client" in line, what
        assert "not-this-one" not in ran.out + ran.err


def test_without_tls_nobody_gets_in(shop: Shop) -> None:
    ran = shop.cli.run("run", shop.file, "--wait", "0", "--web-port", "0")
    assert "no Kafka broker answers" in shop.cli.error_of(ran)
