"""A whole worker is killed again and again under load, at random moments of its life: nothing lost, nothing doubled,
and every model is the fold of its log, to the last bit."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from random import Random

import pytest
from crash.ledger import Judge, await_all
from crash.lives import Phase, Worker
from crash.weather import Load, describe, topology_file, weather
from support.processes import eventually

pytestmark = pytest.mark.kafka

SEED = os.environ.get("STREAMML_CRASH_SEED", "1")
"""Another one looks at other moments."""

KILLS = int(os.environ.get("STREAMML_CRASH_KILLS", "20"))

MIX = [Phase.STARTING] * 7 + [Phase.JOINING] * 4 + [Phase.RESTORING] * 3 + [Phase.SERVING] * 5
"""Of twenty kills, the last of which finds a worker that serves. They are more even than lives are, which mostly
serve."""


@pytest.fixture(autouse=True)
def same_hashes() -> None:
    """The judge opens the workers' snapshots, which is refused to a process that hashes otherwise."""
    assert os.environ.get("PYTHONHASHSEED") == "0", "start pytest with PYTHONHASHSEED=0, as `make test` does"


def moments(dice: Random) -> list[Phase]:
    """The phases to kill in, in a random order; the last kill is another matter."""
    return list(islice(cycle(dice.sample(MIX, len(MIX))), KILLS - 1))


@pytest.mark.timeout(120 + 8 * KILLS)
def test_a_worker_killed_at_random_moments(kafka: str, app_name: str, tmp_path: Path) -> None:
    dice, topology, began = Random(f"kills {SEED}"), weather(app_name), time.monotonic()
    load, seen, seconds = Load(kafka, topology, SEED), Counter[str](), Counter[str]()
    with ExitStack() as stack:
        worker = Worker(stack, kafka, topology_file(tmp_path, app_name))
        worker.start()
        worker.reach(Phase.JOINING)  # Its topics are there.
        load.start()
        try:
            for phase in moments(dice):
                since = time.monotonic()
                found = worker.die_within(phase, dice)
                worker.start()
                seen[found.name] += 1
                seconds[phase.name] += round(time.monotonic() - since)
        finally:
            load.stop()
        await_all(kafka, topology, load.sent)
        # The last life answers with what it has restored, at the position of the whole log.
        seen[worker.die_within(Phase.SERVING, dice).name] += 1
        worker.start()
        worker.reach(Phase.RESTORING)
        sent = load.events(100)
        logs = await_all(kafka, topology, sent)
        last = time.monotonic() - began
        worker.stop()
    judge = Judge(topology, logs, sent)
    try:
        judge.all()
    finally:
        print(f"\nseed {SEED}: kills {dict(seen)}, seconds {dict(seconds)}, all in {last:.0f} s")
        print(describe(sent), judge.figures, f"judged in {time.monotonic() - began - last:.0f} s", sep="\n")


def units(worker: Worker) -> list[int]:
    """The partitions that a worker scores, once it is at work on them; empty otherwise."""
    status = worker.status()
    if not status or not status["ready"]:
        return []
    return next(list(task["units"]) for task in status["tasks"] if task["name"] == "score")


@pytest.mark.faults
def test_two_workers_share_the_partitions_and_one_dies_twice(kafka: str, app_name: str, tmp_path: Path) -> None:
    dice, topology, began = Random(f"pair {SEED}"), weather(app_name), time.monotonic()
    load, shared = Load(kafka, topology, f"pair {SEED}"), []
    with ExitStack() as stack:
        file = topology_file(tmp_path, app_name)
        pair = [Worker(stack, kafka, file) for _ in range(2)]
        pair[0].start()
        pair[0].reach(Phase.JOINING)
        pair[1].start()
        load.start()

        def split() -> list[list[int]]:
            return sorted(units(worker) for worker in pair)

        try:
            victim = dice.choice(pair)
            for _ in range(2):
                eventually(split, lambda found: found == [[0], [1]])
                victim.die_within(Phase.SERVING, dice)
                victim.start()
                shared.append(time.monotonic() - began)
            eventually(split, lambda found: found == [[0], [1]])
        finally:
            load.stop()
        sent = load.events(100)
        logs = await_all(kafka, topology, sent)
        for worker in pair:
            worker.stop()
    judge = Judge(topology, logs, sent)
    try:
        judge.all()
    finally:
        print(f"\nseed {SEED}: killed after {[round(at, 1) for at in shared]} s, in {time.monotonic() - began:.0f} s")
        print(describe(sent), judge.figures, sep="\n")
