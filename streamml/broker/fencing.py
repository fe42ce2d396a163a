"""What a node that was killed has left in its own metadata. Law: it serves only after its former life is over there.

A node alone that is killed and started again finds itself alive in its metadata, and leads its partitions before it has
registered anew, which it may only when its former session is over. At that moment no partition has a leader, and Kafka
(4.3) takes transaction markers without a leader for those of deleted topics and gives them up: an aborted transaction
would be committed with the next one of its producer. So the controller runs first, alone, until it has fenced the
former broker: then nothing leads before it is registered.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

from streamml.broker import process
from streamml.broker.settings import Node, controller_properties, jvm, logging_properties

log = logging.getLogger(__name__)
_PROPERTIES, _LOGGING = "controller.properties", "controller-log4j2.properties"
_LOG = "controller.log"
_ACTIVE, _FENCED = "Activated periodic tasks", "Fencing broker"
_WITHIN = 60.0
_SETTLED = 5.0
"""Seconds after which an active controller had every reason to fence, many times its session timeout."""
_POLL = 0.02


def was_killed(directory: Path) -> bool:
    """Whether the node has run here and did not stop cleanly: then it leaves no mark."""
    data = directory / "data"
    return (data / "__cluster_metadata-0").is_dir() and not (data / ".kafka_cleanshutdown").exists()


def fence_former(directory: Path, node: Node, jars: Sequence[Path], tied: bool) -> None:
    """End the former life of a node alone that was killed. Takes about three seconds."""
    written = directory / "logs" / _LOG
    written.unlink(missing_ok=True)
    (directory / _PROPERTIES).write_text(controller_properties(node))
    (directory / _LOGGING).write_text(logging_properties(_LOG))
    pid = process.start(directory, jvm(node, _LOGGING), jars, [_PROPERTIES], tied)
    try:
        if not _fenced(directory, pid, written):
            # What keeps it from starting will keep the broker too, which says it better.
            log.debug("the controller of %s has ended before it fenced the former broker", directory)
    finally:
        if not process.end(pid, directory, SIGTERM, 10.0):
            process.end(pid, directory, SIGKILL, 10.0)


def _fenced(directory: Path, pid: int, written: Path) -> bool:
    """Wait until the controller has fenced the former broker, or has shown that there is none to fence."""
    until, active = time.monotonic() + _WITHIN, False
    while time.monotonic() < until:
        said = written.read_text(errors="replace") if written.exists() else ""
        if _FENCED in said:
            return True
        if not active and _ACTIVE in said:
            active, until = True, time.monotonic() + _SETTLED
        if not process.serves(pid, directory):
            return False
        time.sleep(_POLL)
    return active
