"""`check` and `describe`: every kind of mistake is one line that names the file and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.conftest import Cli, Declare
from typer.testing import CliRunner

from streamml.cli.app import app
from streamml.errors import StreammlError

GOLDEN = Path(__file__).with_name("golden")

MISTAKES = {
    'name="my shop"': "the topology's name 'my shop' cannot begin a topic's name",
    "partitions=0": "partitions is 0; it must be at least 1",
    "models=()": "declares no model; give it at least one Model",
    'models=(Model("lr", lr), Model("lr", lr))': "2 models are named 'lr'; rename all but one",
    'events=Events(EVENT, id="idd", time="at")': "field idd is not in the schema; did you mean id?",
    'events=Events("nosuch", id="id", time="at")': "no schema nosuch; looked for",
    'transform=Transform("z")': "feature z is not a field of the event (id, at, x, kind)",
    'rules=(Range("z", 0, 1),)': "Range: field z is not in the schema; it has id, at, x, kind",
    'feedback=Feedback(LABEL, id="id", label="z")': "field z is not in the schema; it has id, y, known",
    "target=Regression()": "field y is boolean; it must be a number",
    'models=(Model("bad", lambda: 1 / 0),)': "build() raises ZeroDivisionError",
    'models=(Model("one", lambda one=lr(): one),)': "build() returns the same object each time",
    'models=(Model("knn", river("neighbors").KNNClassifier),)': "cannot be reproduced from the log",
    'partitions="3"': "partitions is '3' (a str); it must be a whole number",
    "transform=None": "transform is None; it must be Transform(...)",
    "events=None": "events is None; it must be Events(...)",
    'events=Events([1], id="id", time="at")': "events.schema is [1] (a list); it must be the name of a schema",
    'models=(Model("serving", lr),)': "the model name 'serving' is one of our own (served, serving, snapshots)",
    'models=(Model("bad", lambda: exit(4)),)': "build() raises SystemExit: 4",
    'detectors=(ErrorDrift("staleness", river("drift").ADWIN),)': "the detector name 'staleness' is one of our own",
    'detectors=(ErrorDrift("bad", lambda: exit(4)),)': "detector bad cannot be checked, it raises SystemExit: 4",
    'detectors=(FeatureDrift("d", "z", river("drift").ADWIN),)': "there is no feature 'z'",
}
FILES = {
    "empty.py": ("", "holds 0 topologies; it must hold exactly one"),
    "torn.py": ("x = (\n", "torn.py:1: SyntaxError"),
    "exits.py": ("import sys\nsys.exit(3)\n", "exits.py:2: SystemExit: 3"),
    "interrupts.py": ("raise KeyboardInterrupt\n", "interrupts.py:1: KeyboardInterrupt"),
    "binary.py": ("\0", "binary.py is not text"),
    "raises.py": ("x = 1\nx.y\n", "raises.py:2: AttributeError"),
    "none.py": (None, "no topology file none.py"),
}


@pytest.mark.parametrize(("changes", "said"), MISTAKES.items())
def test_each_mistake_is_one_line(declare: Declare, tmp_path: Path, changes: str, said: str) -> None:
    """In this process, for there are many and a process of its own takes a second."""
    file = str(tmp_path / declare(changes=changes))
    ran = CliRunner().invoke(app, ["check", file])
    assert (ran.exit_code, ran.stderr) == (1, "")
    (line,) = ran.stdout.splitlines()
    assert line.startswith(f"{file}: ")
    assert said in line


def test_a_file_that_is_no_topology_is_one_line(cli: Cli) -> None:
    for name, (text, _) in FILES.items():
        if text is not None:
            (cli.folder / name).write_text(text)
    commands = [[("check", "describe")[number % 2], name] for number, name in enumerate(FILES)]
    for (_, said), ran in zip(FILES.values(), cli.run_all(commands), strict=True):
        assert said in cli.error_of(ran)


@pytest.mark.parametrize("command", [["describe"], ["run"], ["apply"], ["tail", "events"], ["doctor"]])
def test_no_command_trips_over_a_wrong_type(declare: Declare, tmp_path: Path, command: list[str]) -> None:
    file = str(tmp_path / declare(changes="transform=None"))
    ran = CliRunner().invoke(
        app, [command[0], file, *command[1:], "--bootstrap", "127.0.0.1:9"][: 2 if command[0] == "describe" else None]
    )
    assert ran.exit_code == 1
    assert isinstance(ran.exception, SystemExit | StreammlError), ran.exception
    said = f"{ran.output}{ran.exception}"
    assert "transform is None; it must be Transform(...)" in said


def test_what_cannot_be_drawn_is_one_line(declare: Declare, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["describe", str(tmp_path / declare(changes="models=()"))])
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert isinstance(ran.exception, StreammlError)
    assert "cannot be drawn: run `streamml check " in str(ran.exception)


def test_several_mistakes_are_several_lines(declare: Declare, tmp_path: Path) -> None:
    file = str(tmp_path / declare(changes="partitions=0, window=0, models=()"))
    ran = CliRunner().invoke(app, ["check", file])
    assert (ran.exit_code, len(ran.stdout.splitlines())) == (1, 3)


def test_a_good_topology(cli: Cli, declare: Declare, app_name: str) -> None:
    assert cli.ok("check", declare()) == f"shop.py: ok ({app_name}: 1 model, 2 partitions)\n"


@pytest.mark.parametrize("name", ["electricity", "covertype", "friedman"])
def test_the_shipped_topologies_are_good(name: str) -> None:
    ran = CliRunner().invoke(app, ["check", name])
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert f"{name}: ok (" in ran.stdout


def test_describe_is_golden(cli: Cli) -> None:
    drawn = {"text": cli.ok("describe", "electricity")}
    drawn["mermaid"] = CliRunner().invoke(app, ["describe", "electricity", "--format", "mermaid"]).stdout
    for format, found in drawn.items():
        # After a change that is meant: streamml describe electricity --format … > the file.
        assert found == (GOLDEN / f"electricity.{format}.txt").read_text()
