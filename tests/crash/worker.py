"""A process that runs one toy task until it is told to stop. Law: it dies where it is told to, and says when it works.

Usage: python -m crash.worker BOOTSTRAP APP TASK [POINT:N]; with a point it kills itself the N-th time it is reached.
It prints `ready` once its units are at work, `left` at its end, and the line of what it failed for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress

from crash.toys import TASKS

from streamml.errors import StreammlError
from streamml.runtime.clients import Tuning
from streamml.runtime.connection import Connection
from streamml.runtime.outbox import Fault
from streamml.runtime.plane import Plane

QUICK = Tuning(session_timeout_ms=1_200, heartbeat_interval_ms=250, transaction_timeout_ms=5_000, max_records=100)
"""A dead worker is noticed soon, and transactions are small, so that a kill has many places to hit."""


def killer(point: str) -> Fault:
    """Kills this process the N-th time that the point of `POINT:N` is reached."""
    name, _, count = point.partition(":")
    left = [int(count)]

    def fault(reached: str) -> None:
        if reached == name:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return fault


async def work(bootstrap: str, app: str, task: str, fault: Fault | None) -> None:
    plane = Plane(
        app,
        TASKS[task],
        Connection(bootstrap),
        lambda: time.time_ns() // 1_000_000,
        lambda role: f"{app}.{role}",
        {},
        QUICK,
        fault,
    )
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    try:
        await plane.start()
        told = False
        while not ending.is_set():
            plane.check()
            if plane.ready and not told:
                told = True
                print("ready", flush=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), 0.05)
    finally:
        await plane.stop()
    print("left", flush=True)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    bootstrap, app, task, *point = sys.argv[1:]
    try:
        asyncio.run(work(bootstrap, app, task, killer(point[0]) if point else None))
    except StreammlError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
