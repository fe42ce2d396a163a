"""Workers that share a task die at random moments under load: lost 0, doubled 0, order kept, state recomputable."""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import ExitStack

import pytest
from crash.load import at_once, keep_sending, topics
from crash.proc import Worker, worker
from crash.test_points import JUDGES

SEED = os.environ.get("STREAMML_CRASH_SEED", "")
"""Another one looks at other moments."""

KILLS = {"tally": 7, "join": 7, "fold": 6}


@pytest.mark.kafka
@pytest.mark.faults
def test_twenty_kills_under_load(kafka: str, app_name: str) -> None:
    def story(task: str) -> None:
        app, dice = f"{app_name}-{task}", random.Random(f"{task}{SEED}")
        topics(kafka, app, task)
        going = threading.Event()
        sent: list[int] = []
        load = threading.Thread(
            target=lambda: sent.append(keep_sending(kafka, app, task, lambda: not going.is_set())), daemon=True
        )
        load.start()
        with ExitStack() as alive:
            try:
                workers: list[Worker] = [alive.enter_context(worker(kafka, app, task)) for _ in range(2)]
                for _ in range(KILLS[task]):
                    victim = workers.pop(dice.randrange(len(workers)))
                    assert victim.line() == "ready", victim.log.read_text()
                    time.sleep(dice.uniform(0.0, 1.0))
                    victim.kill()
                    workers.append(alive.enter_context(worker(kafka, app, task)))
            finally:
                going.set()
                load.join(60)
            JUDGES[task](kafka, app, sent[0])

    at_once(story, list(KILLS))


@pytest.mark.kafka
def test_a_sleeper_that_wakes_is_fenced_and_goes_on(kafka: str, app_name: str) -> None:
    topics(kafka, app_name, "tally")
    going = threading.Event()
    sent: list[int] = []
    load = threading.Thread(
        target=lambda: sent.append(keep_sending(kafka, app_name, "tally", lambda: not going.is_set())), daemon=True
    )
    load.start()
    try:
        with worker(kafka, app_name, "tally") as sleeper, worker(kafka, app_name, "tally") as other:
            assert sleeper.line() == "ready"
            assert other.line() == "ready"
            sleeper.pause()
            time.sleep(2.5)  # Longer than the session timeout: its units go to the other.
            sleeper.go_on()
            time.sleep(1.5)
            going.set()
            load.join(60)
            judge = JUDGES["tally"]
            judge(kafka, app_name, sent[0])
            sleeper.terminate()
            assert sleeper.wait(5) == 0, sleeper.line() + sleeper.log.read_text()
    finally:
        going.set()
        load.join(60)
