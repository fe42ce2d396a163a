"""The command line as a user has it: a process of its own, in a folder of its own. No run may end in a stack trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DECLARED = """
from importlib import import_module

from streamml import *

EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "x", "type": "double"},
        {"name": "kind", "type": ["null", "string"], "default": None},
    ],
}
LABEL = {
    "type": "record",
    "name": "Label",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "y", "type": "boolean"},
        {"name": "known", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}


def river(module):
    # Imported when it is needed: most commands build no model, and are that much faster.
    return import_module(f"river.{module}")


def lr():
    return river("preprocessing").StandardScaler() | river("linear_model").LogisticRegression()


def shop(**changes):
    given = {
        "name": "NAME",
        "events": Events(EVENT, id="id", time="at"),
        "transform": Transform("x"),
        "target": Classification(False, True),
        "models": (Model("lr", lr),),
        "feedback": Feedback(LABEL, id="id", label="y", time="known"),
        "partitions": 2,
    }
    return Topology(**{**given, **changes})


"""


@dataclass
class Ran:
    """How a run ended."""

    code: int
    out: str
    err: str


@dataclass
class Cli:
    """`run` waits for the end; `start` does not. `env` is what a user's shell would hold."""

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STREAMML_")}
        # A pinned seed spares each run a second start of Python; test_entry has the others.
        kept |= {"PYTHONHASHSEED": "0", "STREAMML_BOOTSTRAP": "127.0.0.1:9", "COLUMNS": "200"}
        process = subprocess.Popen(
            [sys.executable, "-m", "streamml", *arguments],
            cwd=self.folder,
            env={**kept, **self.env},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str], timeout: float = 60) -> Ran:
        out, err = process.communicate(timeout=timeout)
        assert "Traceback" not in out + err, err
        return Ran(process.returncode, out, err)

    def run(self, *arguments: str) -> Ran:
        return self.end(self.start(*arguments))

    def run_all(self, commands: Iterable[Sequence[str]]) -> list[Ran]:
        """Many runs side by side: each takes up to a second, most of it imports."""
        return [self.end(process) for process in [self.start(*arguments) for arguments in commands]]

    def error_of(self, ran: Ran) -> str:
        """The one line of a run that failed for a user's mistake."""
        assert ran.code == 1, (ran.out, ran.err)
        (line,) = ran.err.splitlines()
        assert line.startswith("error: ")
        return line

    def ok(self, *arguments: str) -> str:
        """What a run that succeeds says on stdout."""
        ran = self.run(*arguments)
        assert ran.code == 0, ran.err
        return ran.out

    def error(self, *arguments: str) -> str:
        """The one line of a run that fails for a user's mistake."""
        return self.error_of(self.run(*arguments))

    def close(self) -> None:
        """Leave no process behind, also after a failed test."""
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path)
    yield made
    made.close()


@pytest.fixture
def on_kafka(kafka: str, tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path, {"STREAMML_BOOTSTRAP": kafka})
    yield made
    made.close()


Declare = Callable[..., str]


@pytest.fixture
def declare(tmp_path: Path, app_name: str) -> Declare:
    """Writes a topology file: `declare("file.py", "partitions=1")`; its name is that of no other test."""

    def write(file: str = "shop.py", changes: str = "") -> str:
        text = DECLARED.replace("NAME", app_name) + f"topology = shop({changes})\n"
        (tmp_path / file).write_text(text)
        return file

    return write
