"""What is lost where the beginning of `examples` was deleted. Law: nothing is written; each model is told by itself.

A model is the fold of the whole log. Where its beginning is gone, a model lives on from a snapshot whose next example
is still there, and what it was before that snapshot cannot be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from streamml.agents.roster import Roster
from streamml.engine.starts import Start, blank_until, starts
from streamml.errors import StreammlError
from streamml.records import TopicPartition
from streamml.runtime.applying import open_store
from streamml.runtime.connection import Connection
from streamml.runtime.examination import Finding, split
from streamml.runtime.rebuilding import held_spans, read_catalog, read_roster, read_shelf
from streamml.topology import Topology

_SUBJECT = "history"
_END = 1 << 62


async def examine_history(
    topology: Topology, connection: Connection, registry: str | None, key: bytes | None
) -> list[Finding]:
    """Can every model be rebuilt at every position? `key` is the application's signing key."""
    examples = TopicPartition(topology.topic("examples"), 0)
    try:
        held = (await held_spans(connection, [examples]))[examples]
        if held.start == 0:
            return [Finding("ok", _SUBJECT, f"{examples.topic} is whole: any model can be rebuilt at any position")]
        store = open_store(topology.name, connection, registry)
        try:
            catalog = await read_catalog(topology, store)
            roster = await read_roster(connection, topology, catalog.codec("control"))
            shelf = list(await read_shelf(connection, topology, catalog.codec("models"), key))
        finally:
            await store.close()
    except StreammlError as error:
        return [Finding("fail", _SUBJECT, *split(error))]
    return list(judge_history(examples.topic, roster, shelf, held.start))


def judge_history(topic: str, roster: Roster, shelf: Sequence[Start], first: int) -> Iterator[Finding]:
    """What to say of each model, where `topic` begins at the offset `first` and the snapshots are those of `shelf`."""
    cut = f"{topic} begins at offset {first}"
    if roster.pinned is not None:
        lineage = roster.lineages[roster.champion]
        if not starts(shelf, lineage, roster.lineages, roster.pinned, first):
            fix = f"promote a model that can: streamml models promote TOPOLOGY {roster.champion}"
            yield Finding("fail", _SUBJECT, f"{cut}: the champion {roster.reign} cannot be rebuilt to serve", fix)
    anchor = min((start.position for start in shelf if start.offset >= first), default=None)
    for name, lineage in roster.lineages.items():
        left = [start.position for start in starts(shelf, lineage, roster.lineages, _END, first)]
        if left and min(left) <= blank_until(lineage):
            yield Finding("ok", _SUBJECT, f"{cut}: {name} can be rebuilt at any position all the same")
            continue
        if left:
            beside = _in_words(start.position for start in _own(roster, name, shelf, first))
            text = f"{cut}: {name} cannot be rebuilt at positions below {min(left)}{beside}"
            yield Finding("warn", _SUBJECT, text, "keep all of the topic: retention.ms=-1, retention.bytes=-1")
            continue
        text = f"{cut}, and no snapshot of {name} reaches past what was deleted: it cannot be rebuilt"
        if roster.status(name) != "racing":
            yield Finding("warn", _SUBJECT, text, "nothing: it does not learn any more")
        elif anchor is None:
            fix = f"let the worker that has {name} run on until its next snapshot, or give the topology another name"
            yield Finding("fail", _SUBJECT, text, fix)
        else:
            fix = f"begin a new lineage after the cut: streamml models exclude TOPOLOGY {name} --from 0 --to {anchor}"
            yield Finding("fail", _SUBJECT, text, fix)


def _own(roster: Roster, name: str, shelf: Sequence[Start], first: int) -> list[Start]:
    """The snapshots of a model that stand before the cut: they can be used at their own positions alone."""
    lineage, lineages = roster.lineages[name], roster.lineages
    before = [start for start in shelf if start.offset < first]
    return [s for s in before if any(o.position == s.position for o in starts([s], lineage, lineages, s.position, 1))]


def _in_words(positions: Iterable[int]) -> str:
    found = sorted(set(positions))
    if not found:
        return ""
    return f", but at {', '.join(map(str, found[:5]))}{f' and {len(found) - 5} more' if found[5:] else ''}"
