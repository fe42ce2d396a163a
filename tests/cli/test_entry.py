"""The way in: fast, with the hash seed pinned, and an exit code that says how it ended."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.conftest import Cli, Declare
from typer.testing import CliRunner

from streamml.cli.app import app


def test_help_is_there_at_once(cli: Cli) -> None:
    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    assert "apply" in cli.ok("--help")
    # Of CPU time, since the machine may be busy with other tests; it is 0.2 s on an idle one.
    assert seconds() - before < 0.6


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'river', 'aiokafka', 'faust', 'numpy', 'rich', 'streamml.schemas'}"
    code = f"import sys; from streamml.cli import app; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", ["check", "describe", "apply", "run", "produce", "tail", "broker", "demo", "doctor", "quarantine", "acl"]
)
def test_each_command_has_help(command: str) -> None:
    ran = CliRunner().invoke(app, [command, "--help"], prog_name="streamml")
    assert ran.exit_code == 0
    assert f"Usage: streamml {command}" in ran.stdout


def test_version(cli: Cli) -> None:
    assert cli.ok("--version").startswith("streamml 0.")


def test_a_command_used_wrongly_is_exit_code_2(cli: Cli) -> None:
    wrong = (["nothing"], ["produce", "electricity", "elsewhere", "f.csv"])
    for ran in cli.run_all(wrong):
        assert (ran.code, ran.out) == (2, "")
        assert "Usage: streamml" in ran.err


def test_the_hash_seed_is_pinned_for_every_user(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "shows.py").write_text('import sys\nsys.exit(f"randomised: {sys.flags.hash_randomization}")\n')
    for seed in ("", "random"):
        cli.env = {"PYTHONHASHSEED": seed}
        assert cli.error("check", "shows.py").endswith(": SystemExit: randomised: 0")


def test_where_the_seed_cannot_be_pinned_it_says_so(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-E", "-m", "streamml", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "start it without -E or -I" in ran.stderr


def test_ctrl_c_ends_quietly(cli: Cli, declare: Declare, tmp_path: Path) -> None:
    started = tmp_path / "started"
    (tmp_path / "slow.py").write_text(f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(60)\n")
    process = cli.start("check", "slow.py")
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    ran = cli.end(process)
    assert (ran.code, ran.out.strip(), ran.err.strip()) == (130, "", "")


def test_no_broker_is_one_line_that_says_what_to_do(cli: Cli, declare: Declare, tmp_path: Path) -> None:
    shop = declare()
    (tmp_path / "a.csv").write_text("at,x\n1,2\n")
    commands = (
        ["tail", shop, "events"],
        ["produce", shop, "events", "a.csv"],
        ["run", shop, "--wait", "0", "--web-port", "0"],
    )
    for ran in cli.run_all(commands):
        line = cli.error_of(ran)
        assert "no Kafka broker answers at 127.0.0.1:9" in line
        assert "streamml broker up" in line


def test_connection_options_are_understood_or_refused_without_their_values(cli: Cli, declare: Declare) -> None:
    tail = ["tail", declare(), "events"]
    (cli.folder / "client.properties").write_text("# ours\nsecurity.protocol=SASL_SSL\n\nsasl.mechanism = NONE\n")
    options = {
        ("--bootstrap", "nowhere"): "is not host:port",
        ("--property", "sasl.pasword=secret"): "did you mean sasl.password?",
        ("--property", "secret"): "--property has no value: write it as NAME=VALUE",
        ("--property", "secret="): "a client property without a value is not known",
        ("--properties", "client.properties"): "sasl.mechanism must be one of",
    }
    for said, ran in zip(options.values(), cli.run_all([*tail, *given] for given in options), strict=True):
        line = cli.error_of(ran)
        assert said in line
        assert "secret" not in line


def test_text_from_outside_does_not_steer_the_terminal(cli: Cli) -> None:
    assert "\x1b" not in cli.error("check", "a\x1b[2Jb.py")
