"""What each user must be allowed, derived from the layout."""

from __future__ import annotations

import re
from pathlib import Path

from support.tiny import tiny

from streamml import Gate
from streamml.engine.access import Grant, applier, commander, consumer, producer, replayer, worker
from streamml.engine.layout import stages, topics

SHOP = tiny("shop")
ALL = [stage.name for stage in stages(SHOP)]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "security.md"


def operations(grants: list[Grant], role: str) -> set[str]:
    return {g.operation for g in grants if (g.resource, g.name) == ("topic", f"shop.{role}")}


def test_a_worker_reads_and_writes_what_its_tasks_do_and_nothing_else() -> None:
    grants = worker(SHOP, ALL)
    assert operations(grants, "events") == {"Read", "DescribeConfigs"}
    assert operations(grants, "feedback") == {"Read", "DescribeConfigs"}
    assert operations(grants, "quarantine") == {"Write", "DescribeConfigs"}
    assert operations(grants, "examples") == {"Read", "Write", "DescribeConfigs"}
    assert operations(grants, "schemas") == {"Read", "DescribeConfigs"}
    assert "Create" not in {g.operation for g in grants}
    assert {g.name for g in grants if g.resource == "group"} == {
        f"shop.{name}"
        for name in ("score", "match", "learn.lr", "learn.lr~", "learn.nb", "learn.nb~", "detect", "govern", "host.")
    }
    assert all(g.name.startswith(("shop.", "shop-")) for g in grants)


def test_a_scorer_alone_can_forge_no_snapshot_and_no_example() -> None:
    grants = worker(SHOP, ["score"])
    for role in ("models", "examples"):
        assert operations(grants, role) == {"Read", "DescribeConfigs"}
    for role in ("match-changelog", "detect-changelog"):
        assert operations(grants, role) == {"Describe", "DescribeConfigs"}
    assert {g.name for g in grants if g.resource == "transactional-id"} == {"shop-score-"}


def test_a_learner_may_learn_the_forks_of_its_model_and_answers_a_gate() -> None:
    grants = worker(SHOP, ["learn:lr"])
    assert {(g.name, g.pattern) for g in grants if g.resource == "group"} == {
        ("shop.learn.lr", "literal"),
        ("shop.learn.lr~", "prefixed"),
        ("shop.host.", "prefixed"),
    }
    assert {g.name for g in grants if g.resource == "transactional-id"} == {"shop-learn.lr-", "shop-learn.lr~"}
    assert operations(grants, "control") == {"Read", "DescribeConfigs"}
    gated = worker(tiny("shop", gate=Gate()), ["learn:lr"])
    assert operations(gated, "control") == {"Read", "Write", "DescribeConfigs"}


def test_several_processes_need_together_what_one_needs() -> None:
    apart = {grant for name in ALL for grant in worker(SHOP, [name]) if grant.operation != "Describe"}
    assert apart == {grant for grant in worker(SHOP, ALL) if grant.operation != "Describe"}


def test_who_applies_creates_topics_and_writes_schemas() -> None:
    grants = applier(SHOP)
    for topic in topics(SHOP):
        assert "Create" in operations(grants, topic.role)
        assert ("Write" in operations(grants, topic.role)) == (topic.role == "schemas")
    with_registry = applier(SHOP, registry=True)
    assert not {g.operation for g in with_registry} & {"Read", "Write"}


def test_outside_writers_and_readers_need_the_least() -> None:
    assert [(g.name, g.operation) for g in producer(SHOP, registry=True)] == [
        ("shop.events", "Write"),
        ("shop.feedback", "Write"),
    ]
    assert consumer(SHOP, group="team.a", registry=True) == [
        Grant("group", "team.a", "Read"),
        Grant("topic", "shop.predictions", "Read"),
    ]


def test_who_replays_reads_what_was_refused_and_puts_it_back() -> None:
    grants = replayer(SHOP, registry=True)
    assert {(g.name.removeprefix("shop."), g.operation) for g in grants if g.resource == "topic"} == {
        ("quarantine", "Read"),
        ("control", "Read"),
        *((role, "Write") for role in ("events", "feedback", "labels", "control")),
    }
    assert Grant("transactional-id", "shop-quarantine-replay", "Write") in grants


def test_who_decides_on_models_reads_them_and_writes_to_control_alone() -> None:
    grants = commander(SHOP, registry=True)
    assert {(g.name.removeprefix("shop."), g.operation) for g in grants} == {
        ("control", "Write"),
        *((role, "Read") for role in ("control", "metrics", "models", "examples")),
    }


def test_the_table_in_the_docs_is_what_is_derived() -> None:
    grants = worker(SHOP, ALL)
    text = DOCS.read_text()
    for topic in topics(SHOP):
        (row,) = re.findall(rf"^\| `{re.escape(topic.role)}` \|(.*)\|$", text, re.MULTILINE)
        run, apply, produce, tail = (cell.strip() for cell in row.split("|"))
        for cell, found in (
            (run, operations(grants, topic.role)),
            (apply, operations(applier(SHOP), topic.role)),
            (produce, operations(producer(SHOP), topic.role)),
            (tail, operations(consumer(SHOP), topic.role)),
        ):
            assert set(cell.replace("-", "").replace(",", " ").split()) == found, topic.role
