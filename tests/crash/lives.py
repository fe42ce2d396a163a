"""The lives of a whole worker: `streamml run` as a user starts it, killed in a chosen phase. Law: what is killed was
alive: a worker that had ended by itself is an error."""

from __future__ import annotations

import signal
import socket
import time
import urllib.error
from contextlib import ExitStack
from enum import IntEnum
from pathlib import Path
from random import Random
from typing import Any

from support.processes import Process, get_json, running

HOST = "127.0.0.1"
BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that the kernel does not give to outgoing connections meanwhile."""


class Phase(IntEnum):
    """How far a worker has come, as its status page says."""

    STARTING = 0  # imports, topics and schemas; no page yet
    JOINING = 1  # waits for its consumer groups, which still count on the dead one
    RESTORING = 2  # at least one unit fences, restores or replays
    SERVING = 3  # ready, and it has committed predictions


LONGEST = {Phase.STARTING: 2.2, Phase.JOINING: 2.0, Phase.RESTORING: 0.1, Phase.SERVING: 1.5}
"""For how long a kill may be put off once its phase is reached, in s."""


class Worker:
    """One name of a worker: a process after the other."""

    def __init__(self, stack: ExitStack, bootstrap: str, topology: Path) -> None:
        self.port = free_port()
        self._arguments = ["-m", "streamml", "run", str(topology), "--apply", "--bootstrap", bootstrap]
        self._arguments += ["--web-port", str(self.port), "--log-format", "text"]
        self._stack = stack
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        self._process = self._stack.enter_context(running(*self._arguments))

    def status(self) -> dict[str, Any]:
        """Its status; empty while it does not answer."""
        try:
            answer: dict[str, Any] = get_json(f"http://{HOST}:{self.port}/status.json")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}
        return answer

    def phase(self) -> Phase:
        status = self.status()
        if not status:
            return Phase.STARTING
        tasks = {task["name"]: task for task in status["tasks"]}
        if status["ready"] and tasks["score"]["transactions"]:
            return Phase.SERVING
        at_work = any(task["states"].keys() - {"running"} for task in tasks.values())
        return Phase.RESTORING if at_work or tasks["score"]["states"] else Phase.JOINING

    def reach(self, phase: Phase, patience: float = 60.0) -> Phase:
        """The phase found, once it is this one or a later one."""
        until = time.monotonic() + patience
        while (found := self.phase()) < phase:
            code = self.process.code
            if time.monotonic() > until or code is not None:
                said = self.process.heard()[-20:]
                raise AssertionError(f"not {phase.name} within {patience:g} s; exit code {code}, said {said}")
            time.sleep(0.01)
        return found

    def die_within(self, phase: Phase, dice: Random) -> Phase:
        """SIGKILL at a random moment from when the phase is reached; returns the phase it was last seen in."""
        seen = self.reach(phase)
        until = time.monotonic() + dice.uniform(0.0, LONGEST[phase])
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            if left > 0.2:  # Looking takes the worker's time: leave the last moments alone.
                seen = self.phase()
        self.kill()
        return seen

    def kill(self) -> None:
        code = self.process.end(signal.SIGKILL)
        assert code == -signal.SIGKILL, f"ended by itself with {code}: {self.process.lines[-5:]}"

    def stop(self) -> None:
        """An orderly end, without an error in its log."""
        assert self.process.end(signal.SIGTERM) == 0, self.process.lines[-5:]
        assert not [line for line in self.process.lines if "Traceback" in line or "ERROR" in line]


def free_port() -> int:
    """One that can be listened on now."""
    for port in Random().sample(BELOW_EPHEMERAL, 50):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return port
    raise AssertionError("no free port")
