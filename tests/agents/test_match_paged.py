"""The join with its state on disk: whatever is lost or goes on elsewhere, it does what the join in memory does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agents.test_match import compacted, event, examples, interleavings, label, match, policies, streams
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streamml.agents.match import Match, paged, state
from streamml.agents.match.entry import CLOCK
from streamml.records import LogRecord, Writes
from streamml.stores import Store


class Changelog:
    """One partition of it, with the holes of transactions."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.end = 0

    def append(self, writes: Writes) -> int | None:
        """The offset of the last record of a transaction."""
        for key, value, time, _ in writes.get("match-changelog", []):
            self.records.append(LogRecord("changelog", 0, self.end, time, key, value))
            self.end += 1
        self.end += 1
        return self.end - 2 if writes else None


class Life:
    """What a runtime does with an agent that keeps its state on disk."""

    def __init__(self, folder: Path, missing: Any, changelog: Changelog) -> None:
        self.agent = match(missing, store=Store(folder))
        self.changelog = changelog
        local = self.agent.local
        assert local is not None
        self.local = local
        self.begun_at = local.start
        self._restore()
        if local.stale:
            local.clear()
            self._restore()
        assert not local.stale
        self.agent.resume({})

    def _restore(self) -> None:
        records = [record for record in self.changelog.records if record.offset >= self.local.start]
        for at in range(0, len(records), 3):
            self.agent.restore(records[at : at + 3])

    def commit(self) -> None:
        last = self.changelog.append(self.agent.checkpoint(0))
        if last is not None:
            self.local.committed(last)


def figures(agent: Match) -> dict[str, float]:
    return {r.name: r.value for r in agent.observe() if r.name in ("pending", "settled")}


@contextmanager
def small(hot: int, budget: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paged, "HOT", hot)
        patch.setattr(state, "BUDGET", budget)
        yield


# Not shrunk: each try opens a dozen databases.
@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(st.data(), streams(), policies, st.sampled_from([0, 1, 100]))
def test_its_outcomes_are_those_of_the_join_in_memory(
    data: st.DataObject, logs: dict[str, list[LogRecord]], missing: Any, hot: int
) -> None:
    steps = data.draw(interleavings(logs))
    whole, changelog = match(missing), Changelog()
    with tempfile.TemporaryDirectory() as folder, small(hot, 1_000):
        where = Path(folder) / "here"
        life = Life(where, missing, changelog)
        expected, got = [], []
        for batch in steps:
            expected.append(examples(whole.step(batch, 0)))
            whole.checkpoint(0)
            got.append(examples(life.agent.step(batch, 0)))
            fate = data.draw(st.sampled_from(["commit", "commit", "crash", "lost", "elsewhere", "forgotten"]))
            if fate == "lost":  # The transaction never ended: the step is made again by the next life.
                life.agent.checkpoint(0)
                life.local.close()
                life = Life(where, missing, changelog)
                assert examples(life.agent.step(batch, 0)) == got[-1]
            if fate == "forgotten":  # Committed, and killed before the disk was written.
                changelog.append(life.agent.checkpoint(0))
            else:
                life.commit()
            if fate in ("crash", "forgotten"):
                life.local.close()
                life = Life(where, missing, changelog)
                assert fate == "forgotten" or life.begun_at == max((r.offset for r in changelog.records), default=0)
            elif fate == "elsewhere":  # Another worker goes on, with a disk of its own; then we have the unit back.
                life.local.close()
                # A tombstone outlives by far what a disk that is not too old has missed.
                cleaned = data.draw(st.integers(0, len(changelog.records)))
                changelog.records = compacted(changelog.records, cleaned, deleting=False)
                where = Path(folder) / data.draw(st.sampled_from(["there", "here"]))
                life = Life(where, missing, changelog)
            assert figures(life.agent) == figures(whole)
        life.local.close()
    assert got == expected


def test_a_restart_reads_only_what_follows(tmp_path: Path) -> None:
    changelog = Changelog()
    life = Life(tmp_path, "drop", changelog)
    for name in range(500):
        life.agent.step({role: [part] for role, part in event(str(name), 0).items()}, 0)
        if name % 50 == 49:
            life.commit()
    life.local.close()
    again = Life(tmp_path, "drop", changelog)
    assert again.begun_at == changelog.records[-1].offset
    assert changelog.records[-1].key == CLOCK
    assert figures(again.agent)["pending"] == 500
    got = examples(again.agent.step({"labels": [label(str(name), 1) for name in range(500)]}, 0))
    assert len(got) == 500
    again.local.close()


def test_a_disk_of_another_changelog_is_emptied(tmp_path: Path) -> None:
    one, other = Changelog(), Changelog()
    for changelog, names in ((one, "abc"), (other, "xyz")):
        life = Life(tmp_path, "drop", changelog)
        for name in names:
            life.agent.step({role: [part] for role, part in event(name, ord(name)).items()}, 0)
            life.commit()
        assert {r.key for r in changelog.records} == {CLOCK, *(name.encode() for name in names)}
        got = examples(life.agent.step({"labels": [label(name, ord(name)) for name in "abcxyz"]}, 0))
        assert [key for key, _ in got] == [name.encode() for name in names]
        life.local.close()


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("apart", [0, 1])
def test_a_clock_that_leaps_ahead_lets_go_of_so_many_ids_a_step(stored: bool, apart: int, tmp_path: Path) -> None:
    """Be they in many slots of time or all in one."""
    with small(0, 30):
        agent = match(store=Store(tmp_path) if stored else None)
        agent.step({role: [event(str(n), apart * n)[role] for n in range(100)] for role in event("", 0)}, 0)
        agent.checkpoint(0)
        if agent.local is not None:
            agent.local.committed(0)
        far = event("far", 100_000)
        sizes: list[int] = []
        batch: dict[str, list[LogRecord]] = {"features": [far["features"]], "labels": [label("far", 100_001)]}
        while len(sizes) < 5 or figures(agent) != {"pending": 1, "settled": 0}:
            assert len(sizes) < 50, figures(agent)
            agent.step(batch, 0)
            sizes.append(len(agent.checkpoint(0).get("match-changelog", [])))
            if agent.local is not None and sizes[-1]:
                agent.local.committed(sum(sizes))
            batch = {}
        assert max(sizes) < 80
        if agent.local is not None:
            agent.local.close()


def test_doubles_alone_do_not_fill_the_memory(tmp_path: Path) -> None:
    with small(10, 1_000):
        agent = match(store=Store(tmp_path))
        assert agent.local is not None
        events = [event(str(n), 0) for n in range(200)]
        agent.step({role: [parts[role] for parts in events] for role in events[0]}, 0)
        agent.checkpoint(0)
        agent.local.committed(0)
        for at in range(0, 200, 20):
            agent.step({role: [parts[role] for parts in events[at : at + 20]] for role in events[0]}, 0)
            assert not agent.checkpoint(0)
            assert len(agent._entries) <= 10
        agent.local.close()
