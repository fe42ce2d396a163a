"""Processes of a worker as a person runs them: started, watched line by line, asked over HTTP, ended by a signal."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson
import psutil

T = TypeVar("T")
PATIENCE = 60.0
TESTS = Path(__file__).resolve().parent.parent


class Process:
    """A running Python process; `lines` is all that it has printed so far, on stdout and stderr alike."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for line in out:
                self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def line(self, wanted: str, patience: float = PATIENCE) -> str:
        """The next line with `wanted` in it, once it is printed."""
        deadline = time.monotonic() + patience
        while True:
            try:
                line = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no line with {wanted!r} in {self.lines}"
            self.lines.append(line)
            if wanted in line:
                return line

    def heard(self) -> list[str]:
        """All lines so far, those included that nobody has waited for."""
        with suppress(queue.Empty):
            while (line := self._new.get_nowait()) is not None:
                self.lines.append(line)
            self._new.put(None)
        return self.lines

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def tell(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals | None = None, patience: float = PATIENCE) -> int:
        """The exit code, after the signal if one is given."""
        if number is not None:
            self._process.send_signal(number)
        code = self._process.wait(patience)
        while (line := self._new.get(timeout=patience)) is not None:
            self.lines.append(line)
        return code

    def kill(self) -> None:
        """End it in any case."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A process that does not outlive the block."""
    process = Process(arguments, env)
    try:
        yield process
    finally:
        process.kill()


def await_question(pid: int) -> None:
    """Return once the process waits for an answer. A signal between Python's last look for one and its call of `read`
    would be heard after the answer only."""
    eventually(lambda: psutil.Process(pid).status(), lambda status: status == psutil.STATUS_SLEEPING)


def get(url: str) -> tuple[int, bytes]:
    """Status and body of an HTTP answer, whatever the status is."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def get_json(url: str) -> Any:
    """The body of an HTTP answer."""
    return orjson.loads(get(url)[1])


def eventually(look: Callable[[], T], good: Callable[[T], object] = bool, patience: float = PATIENCE) -> T:
    """What `look` returns, once it is `good`; a refused connection counts as not yet."""
    deadline, seen = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        try:
            seen = look()
        except (urllib.error.URLError, ConnectionError):
            seen = None
        if seen is not None and good(seen):
            return seen
        time.sleep(0.05)
    raise AssertionError(f"after {patience:g} s: {seen!r}")
