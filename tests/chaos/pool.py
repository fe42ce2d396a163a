"""The workers of a run, as a supervisor keeps them. Law: who ends is started again, and none outlives the harness."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crash.lives import Worker
from support.processes import Process, running

from streamml.broker.process import end_with_us

Say = Callable[[str], None]


class Member(Worker):
    """One place in the group: a process after the other, with the tasks of `only` (all of them if it is empty)."""

    def __init__(
        self,
        stack: ExitStack,
        name: str,
        bootstrap: str,
        topology: Path,
        *,
        mutant: str = "-",
        only: str = "",
        env: Mapping[str, str] | None = None,
        logs: Path | None = None,
    ) -> None:
        super().__init__(stack, bootstrap, topology)
        self.name = name
        self.only = only
        self.wanted = self.told = False
        self.stopped_until = 0.0
        self.again_at = 0.0
        self.units: Sequence[int] = ()
        self.starts = 0
        self._env = dict(env or {})
        self.logs = logs
        self._life = ExitStack()
        stack.callback(lambda: self._life.close())
        # The topics are the harness's affair: without `--apply` a worker must say that they are missing.
        command = [word for word in self._arguments[2:] if word != "--apply"]
        command += ["--data-dir", str(topology.parent / name)]
        self._arguments = ["-m", "chaos.worker", mutant, *command]

    @property
    def running(self) -> bool:
        """Whether its process is alive, be it stopped."""
        return self._process is not None and self._process.code is None

    def start(self) -> None:
        tasks = ["--only", self.only] if self.only else []
        self._life = ExitStack()
        self._process = self._life.enter_context(tied(*self._arguments, *tasks, env=self._env))
        self.wanted, self.told, self.units = True, False, ()
        self.starts += 1

    def look(self) -> None:
        """Remember which partitions it scores; nothing is asked of one that is stopped."""
        if not self.running or time.monotonic() < self.stopped_until:
            return
        for task in self.status().get("tasks", ()):
            if task["name"] == "score":
                self.units = task["units"]

    @property
    def up(self) -> bool:
        """Whether it answers, or has ended."""
        return not self.running or bool(self.status())

    def wait(self, patience: float) -> int | None:
        """Its exit code, once it has ended; None if it did not run. What takes longer is killed."""
        if self._process is None:
            return None
        until = time.monotonic() + patience
        while self._process.code is None:
            if time.monotonic() > until:
                self._process.tell(signal.SIGKILL)
            time.sleep(0.02)
        return self.ended(lambda line: None)

    def ended(self, say: Say) -> int | None:
        """Its exit code, if it has ended since the last time one looked."""
        if self._process is None or self._process.code is None:
            return None
        process, self._process = self._process, None
        code = process.end()
        self._life.close()
        self._keep(process)
        if code not in (0, -signal.SIGKILL) and not (self.told and code == -signal.SIGTERM):
            said = [line for line in process.lines if "ERROR" in line or "error" in line] or process.lines
            say(f"{self.name} ended with {code}: {said[-1][:300] if said else 'without a word'}")
        return code

    def _keep(self, process: Process) -> None:
        if self.logs is not None:
            with (self.logs / f"{self.name}.log").open("a") as log:
                log.writelines(f"{line}\n" for line in process.lines)
                log.write(f"--- ended with {process.code}\n")


@contextmanager
def tied(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """As `running`, and gone when this process is, however it ends."""
    with running(*arguments, env=env) as process:
        watcher = end_with_us(process.pid)
        try:
            yield process
        finally:
            watcher.kill()
            watcher.wait()
            if watcher.stdin is not None:
                watcher.stdin.close()
