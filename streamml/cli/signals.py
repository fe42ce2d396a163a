"""Being told to stop before there is a worker to stop. Law: one line and exit code 0, at whatever point it comes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from streamml.cli.terminal import note

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ends_when_told() -> Iterator[None]:
    """Inside, SIGTERM and SIGINT end the process; a worker's event loop takes them over once it runs.

    Until then nothing is at stake that a retry would not make good (`--apply` is idempotent). Raising an exception
    instead would be lost where a signal meets a destructor, or an import that tries something else after a failure.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Where Python allows no handlers, it delivers no signals either.
        return
    former = {number: signal.signal(number, _end) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    # The interrupted code may be in the middle of writing to the same stream, which Python then refuses.
    with suppress(Exception):
        sys.stdout.flush()
    with suppress(Exception):
        if logging.getLogger().handlers:
            logging.getLogger("streamml").info("stopped before the start")
        else:
            note("stopped before the start")
    os._exit(0)
