"""Input for the toy tasks, sent while their workers die. Law: seeded, so that a red run can be run again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from support.kafka import produce

from streamml.runtime.admin import TopicSpec, ensure_topics
from streamml.runtime.connection import Connection

PARTITIONS = 2
KEYS = 40


def topics(bootstrap: str, app: str, task: str) -> None:
    """The topics of a toy task; changelogs are not compacted here, so that all of their history can be judged."""
    shapes = {
        "tally": {"in": PARTITIONS, "out": PARTITIONS, "counts": PARTITIONS},
        "join": {"left": PARTITIONS, "right": PARTITIONS, "pairs": 1, "waiting": PARTITIONS},
        "fold": {"log": 1, "told": 1, "snapshots": 1},
    }
    wanted = [TopicSpec(f"{app}.{role}", count) for role, count in shapes[task].items()]
    asyncio.run(ensure_topics(Connection(bootstrap), wanted))


def send(bootstrap: str, app: str, task: str, first: int, count: int) -> None:
    """Records number `first` to `first + count` of the task's input."""
    numbers = range(first, first + count)
    if task == "join":
        for side in ("left", "right"):
            order = list(numbers)
            random.Random(f"{side}{first}").shuffle(order)
            rows = [(b"%d" % i, b"%s%d" % (side[0].encode(), i)) for i in order]
            produce(bootstrap, f"{app}.{side}", rows, partitioner="murmur2_random")
    else:
        role = "in" if task == "tally" else "log"
        produce(bootstrap, f"{app}.{role}", [(b"k%d" % (i % KEYS), b"v%d" % i) for i in numbers])


def keep_sending(bootstrap: str, app: str, task: str, going: Callable[[], bool], chunk: int = 150) -> int:
    """Send small chunks until told to stop; returns how many records (of each input) were sent."""
    sent = 0
    while going():
        send(bootstrap, app, task, sent, chunk)
        sent += chunk
        time.sleep(0.1)
    return sent


def at_once(call: Callable[[str], None], names: Sequence[str]) -> None:
    """Run the same story for several tasks at the same time: most of each is waiting for a group to notice a death."""
    with ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(call, name) for name in names]:
            done.result()
