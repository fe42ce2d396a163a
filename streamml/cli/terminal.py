"""What a person sees. Law: results go to stdout, all else to stderr; text from outside never steers the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import NoReturn

import typer

_QUIET = ("aiokafka", "asyncio", "aiohttp", "kafka")


def one_line(text: object) -> str:
    """`text` on one line, with whatever a terminal would take for a command written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(text).split()))


def error(text: object) -> None:
    """One red line on stderr."""
    typer.echo(typer.style("error:", fg=typer.colors.RED, bold=True) + " " + one_line(text), err=True)


def note(text: object) -> None:
    """One line on stderr that is no result."""
    typer.echo(one_line(text), err=True)


def fail(problems: Iterable[object]) -> NoReturn:
    """One error line each, then exit code 1."""
    for problem in problems:
        error(problem)
    raise typer.Exit(1)


def interactive() -> bool:
    """Whether someone is there to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def plain_logs() -> None:
    """Our own warnings become plain lines; what Kafka's client logs, our errors say better."""
    logging.getLogger("streamml").handlers[:] = [_Notes()]
    logging.getLogger("streamml").propagate = False
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def author_of() -> str:
    """Who gives a command, as far as this machine knows: it goes into the audit log."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # No such user: as in a container that runs under a bare number.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
