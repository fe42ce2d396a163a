"""What the doctor says where the beginning of `examples` was deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.kafka import produce
from support.tiny import tiny
from support.truncating import delete_before

from streamml.agents.roster import Roster
from streamml.engine.starts import Start
from streamml.models import Lineage
from streamml.runtime.applying import carry_out, open_store
from streamml.runtime.connection import Connection
from streamml.runtime.examination import Finding
from streamml.runtime.rebuilding import read_catalog
from streamml.runtime.retention import examine_history, judge_history
from streamml.snapshots import seal

TOPOLOGY = tiny("cut")
CUT = "cut.examples begins at offset 100"


def snapshot(of: Lineage, position: int) -> Start:
    """Each example takes two offsets, as when it is a transaction of its own."""
    return Start(position, 2 * position, {"model": of.name, "digest": of.digest}, (0,))


def roster(*decisions: dict[str, Any]) -> Roster:
    made = Roster(TOPOLOGY)
    for decision in decisions:
        empty = {"position": None, "parent": None, "from_position": None, "to_position": None}
        made.apply({"kind": "decision", "accepted": True, **empty, **decision})
    return made


def judged(known: Roster, *held: tuple[str, int]) -> list[Finding]:
    shelf = [snapshot(known.lineages[name], position) for name, position in held]
    return list(judge_history("cut.examples", known, shelf, 100))


def test_each_model_is_told_from_where_on_it_can_be_rebuilt() -> None:
    lr, nb = judged(roster(), ("lr", 20), ("lr", 40), ("lr", 60), ("lr", 80), ("nb", 50), ("nb", 90))
    assert lr[:3] == ("warn", "history", f"{CUT}: lr cannot be rebuilt at positions below 60, but at 20, 40")
    assert nb.text == f"{CUT}: nb cannot be rebuilt at positions below 50"
    assert "retention.ms=-1" in nb.fix


def test_a_model_that_cannot_go_on_is_told_where_a_new_lineage_may_begin() -> None:
    lr, nb = judged(roster(), ("lr", 20), ("nb", 55), ("nb", 90))
    assert lr == (
        "fail",
        "history",
        f"{CUT}, and no snapshot of lr reaches past what was deleted: it cannot be rebuilt",
        "begin a new lineage after the cut: streamml models exclude TOPOLOGY lr --from 0 --to 55",
    )
    assert nb.verdict == "warn"
    # And that one can indeed begin there.
    forked = roster({"action": "exclude", "model": "lr~1", "parent": "lr", "from_position": 0, "to_position": 55})
    *_, fork = judged(forked, ("lr", 20), ("nb", 55), ("nb", 90))
    assert (fork.verdict, fork.text) == ("ok", f"{CUT}: lr~1 can be rebuilt at any position all the same")


def test_where_nothing_tells_an_offset_only_the_running_worker_helps() -> None:
    lr, nb = judged(roster(), ("lr", 20))
    assert (lr.verdict, nb.verdict) == ("fail", "fail")
    assert lr.fix == ("let the worker that has lr run on until its next snapshot, or give the topology another name")


def test_a_model_that_does_not_learn_any_more_needs_nothing() -> None:
    _, nb = judged(roster({"action": "retire", "model": "nb"}), ("lr", 60))
    assert (nb.verdict, nb.fix) == ("warn", "nothing: it does not learn any more")


def test_a_champion_that_cannot_be_rebuilt_to_serve_is_grave() -> None:
    frozen = roster({"action": "promote", "model": "nb", "position": 30})
    grave, *rest = judged(frozen, ("lr", 60), ("nb", 70))
    assert (grave.verdict, grave.text) == ("fail", f"{CUT}: the champion nb@30 cannot be rebuilt to serve")
    assert [found.verdict for found in rest] == ["warn", "warn"]
    assert [f.verdict for f in judged(frozen, ("lr", 60), ("nb", 30), ("nb", 70))] == ["warn", "warn"]


@pytest.mark.kafka
async def test_it_is_found_on_a_cluster(kafka: str, app_name: str) -> None:
    topology, connection = tiny(app_name), Connection(kafka)
    (missing,) = await examine_history(topology, connection, None, None)
    assert (missing.verdict, missing.fix) == ("fail", "create them with `streamml apply`")
    store = open_store(app_name, connection, None)
    try:
        await carry_out(topology, connection, store)
        catalog = await read_catalog(topology, store)
    finally:
        await store.close()
    (whole,) = await examine_history(topology, connection, None, None)
    assert whole == ("ok", "history", f"{app_name}.examples is whole: any model can be rebuilt at any position", "")

    lr = Lineage.of(topology.models[0], topology.target)
    rows = []
    for position in (4, 8):
        chunks = seal(b"", model="lr", digest=lr.digest, position=position, offset=position, at=0, key=None)
        rows += [(key.encode(), catalog.codec("models").encode(value)) for key, value in chunks]
    await asyncio.to_thread(produce, kafka, topology.topic("models"), rows)
    await asyncio.to_thread(produce, kafka, topology.topic("examples"), [(b"k", b"v")] * 10)
    await asyncio.to_thread(delete_before, kafka, topology.topic("examples"), 6)
    found = await examine_history(topology, connection, None, None)
    assert [(f.verdict, f.text.partition(": ")[2]) for f in found] == [
        ("warn", "lr cannot be rebuilt at positions below 8, but at 4"),
        ("fail", "it cannot be rebuilt"),
    ]
    assert found[1].fix.endswith("exclude TOPOLOGY nb --from 0 --to 8")
