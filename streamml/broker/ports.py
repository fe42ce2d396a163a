"""Ports of the loopback interface. Law: none is given out without a look at it, nor one that is lent to clients."""

from __future__ import annotations

import random
import time
from collections.abc import Collection

from streamml.broker.handshake import cluster_at, obstacle
from streamml.broker.process import listener_on
from streamml.broker.settings import HOST
from streamml.errors import BrokerError

OWN = range(20000, 32000)
"""Below the ports that Linux and macOS lend to outgoing connections."""

_LINGER = 2.0
_POLL = 0.05


def kept_or_free(before: int | None, taken: Collection[int] = ()) -> int:
    """The port that was ours before if nobody else has it now, or any free one that is not in `taken`."""
    return before if before and before not in taken and _soon_free(before) is None else any_free(taken)


def claimed(port: int, before: int | None) -> int:
    """The port that was asked for. Raises BrokerError, which names its holder, if somebody else has it."""
    problem = _soon_free(port) if port == before else obstacle(HOST, port)
    if problem is None:
        return port
    holder = listener_on(port)
    what = f"port {port} of {HOST} {problem}{f' by {holder}' if holder else ''}"
    if cluster_at(HOST, port) is not None:
        what += f", which is a Kafka broker: use it with --bootstrap {HOST}:{port}, or"
    else:
        what += ":"
    raise BrokerError(f"{what} choose another port with --port (0 for any free one)")


def any_free(taken: Collection[int] = ()) -> int:
    """A port that nobody has now, and that is not in `taken`."""
    for port in random.SystemRandom().sample(OWN, 100):
        if port not in taken and obstacle(HOST, port) is None:
            return port
    raise BrokerError(f"no free port between {OWN.start} and {OWN.stop}: name one with --port")


def _soon_free(port: int) -> str | None:
    """The obstacle on a port that was ours: a broker just killed from outside may hold it for a moment more."""
    until = time.monotonic() + _LINGER
    while (problem := obstacle(HOST, port)) is not None and time.monotonic() < until:
        time.sleep(_POLL)
    return problem
