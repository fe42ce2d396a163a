"""A worker that dies between any two steps of its protocol loses nothing and doubles nothing."""

from __future__ import annotations

import pytest
from crash.load import at_once, send, topics
from crash.proc import worker
from crash.verdict import await_rows, judge_fold, judge_join, judge_tally

JUDGES = {"tally": judge_tally, "join": judge_join, "fold": judge_fold}
OUT = {"tally": "out", "join": "pairs", "fold": "told"}

POINTS = ("stepped:3", "begun:2", "sent:3", "offsets:2", "committed:2", "fenced:1", "restored:1")
EACH = 700


@pytest.mark.kafka
def test_killed_at_every_point(kafka: str, app_name: str) -> None:
    def story(task: str) -> None:
        app = f"{app_name}-{task}"
        topics(kafka, app, task)
        for number, point in enumerate(POINTS):
            send(kafka, app, task, number * EACH, EACH)
            with worker(kafka, app, task, point) as doomed:
                assert doomed.wait(60) == -9, f"{task} did not reach {point}: {doomed.log.read_text()}"
        with worker(kafka, app, task):
            JUDGES[task](kafka, app, len(POINTS) * EACH)

    at_once(story, list(JUDGES))


@pytest.mark.kafka
def test_a_worker_told_to_end_leaves_at_once_and_leaves_nothing_open(kafka: str, app_name: str) -> None:
    topics(kafka, app_name, "tally")
    send(kafka, app_name, "tally", 0, 500)
    with worker(kafka, app_name, "tally") as first, worker(kafka, app_name, "tally") as second:
        assert first.line() == "ready"
        assert second.line() == "ready"
        await_rows(kafka, f"{app_name}.out", 500)
        first.terminate()
        assert first.wait(2.0) == 0
        send(kafka, app_name, "tally", 500, 500)
        judge_tally(kafka, app_name, 1_000)
