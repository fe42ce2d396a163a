"""The join's law: the examples do not depend on how its three inputs interleave, nor on batches, nor on crashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamml.agents.match import Match
from streamml.agents.match.agent import MOST_WAITING
from streamml.agents.match.entry import (
    CLOCK,
    PACK,
    Entry,
    WaitingLabel,
    decode,
    decode_pack,
    encode,
    encode_pack,
    limit_of,
)
from streamml.agents.quarantine import Quarantine
from streamml.records import LogRecord, TopicPartition, Writes
from streamml.stores import Store
from streamml.topology import Assume, Feedback

HORIZON, GRACE = 100, 10
ROLES = ("features", "predictions", "labels")


class Frame:
    """Stands for the codec of a quarantine reason."""

    def encode(self, value: dict[str, Any]) -> bytes:
        return repr(sorted(value.items())).encode()


def match(missing: Any = "drop", refuse: Any = "drop", store: Store | None = None) -> Match:
    feedback = Feedback(
        "none",
        id="id",
        label="y",
        horizon=timedelta(milliseconds=HORIZON),
        grace=timedelta(milliseconds=GRACE),
        missing=missing,
        late=refuse,
        orphan=refuse,
        doubled=refuse,
    )
    return Match(
        feedback,
        TopicPartition("app.labels", 0),
        lambda label, prediction, features: b"|".join((label, prediction, features)),
        lambda key, time, value: f"{value}@{time}".encode(),
        Quarantine(Frame(), "match"),
        store,
    )


def record(role: str, id: str, time: int, value: str, offset: int = 0) -> LogRecord:
    return LogRecord(f"app.{role}", 0, offset, time, id.encode(), value.encode())


def event(id: str, time: int) -> dict[str, LogRecord]:
    return {
        "features": record("features", id, time, f"F{id}@{time}"),
        "predictions": record("predictions", id, time, f"P{id}@{time}"),
    }


def label(id: str, time: int, value: str = "y") -> LogRecord:
    return record("labels", id, time, f"{value}{id}@{time}")


def drive(agent: Match, steps: Sequence[dict[str, list[LogRecord]]], now: int = 0) -> Writes:
    total: Writes = {}
    for batch in steps:
        for role, writes in agent.step(batch, now).items():
            total.setdefault(role, []).extend(writes)
    return total


def examples(writes: Writes) -> list[tuple[bytes | None, bytes | None]]:
    return [(key, value) for key, value, _, _ in writes.get("examples", [])]


# What a user sees.


def test_features_prediction_and_label_become_one_example() -> None:
    a = event("a", 0)
    writes = drive(
        match(),
        [{"features": [a["features"]]}, {"predictions": [a["predictions"]]}, {"labels": [label("a", 50)]}],
    )
    assert examples(writes) == [(b"a", b"ya@50|Pa@0|Fa@0")]


def test_a_label_may_come_before_its_event() -> None:
    a = event("a", 20)
    writes = drive(match(), [{"labels": [label("a", 25)]}, {r: [a[r]] for r in a}])
    assert examples(writes) == [(b"a", b"ya@25|Pa@20|Fa@20")]


def test_only_the_first_label_counts() -> None:
    a = event("a", 0)
    agent = match(refuse="quarantine")
    writes = drive(agent, [{r: [a[r]] for r in a}, {"labels": [label("a", 5), label("a", 6, "n")]}])
    assert examples(writes) == [(b"a", b"ya@5|Pa@0|Fa@0")]
    assert agent.counts["doubled_label"] == 1
    [(key, value, _, headers)] = writes["quarantine"]
    assert (key, value) == (b"a", b"na@6")
    assert b"doubled_label" in dict(headers)["streamml.quarantine"]


def test_a_second_event_of_an_id_gives_no_second_example() -> None:
    a = event("a", 0)
    agent = match()
    both = {r: [a[r], a[r]] for r in a}
    writes = drive(agent, [both, {"labels": [label("a", 5)]}, {r: [a[r]] for r in a}, {"labels": [label("a", 7)]}])
    assert len(examples(writes)) == 1
    assert agent.counts["doubled_event"] == 2
    assert agent.counts["doubled_label"] == 1


def test_a_label_past_the_horizon_is_late() -> None:
    a = event("a", 0)
    agent = match(refuse="quarantine")
    writes = drive(agent, [{r: [a[r]] for r in a}, {"labels": [label("a", HORIZON + 1)]}])
    assert examples(writes) == []
    assert agent.counts["late"] == 1
    assert len(writes["quarantine"]) == 1


def test_an_event_whose_label_never_came_is_dropped_once_the_labels_have_passed_it() -> None:
    a, b = event("a", 0), event("b", 60)
    agent = match()
    drive(agent, [{r: [a[r], b[r]] for r in a}, {"labels": [label("b", HORIZON + GRACE)]}])
    assert agent.counts["missing"] == 0
    drive(agent, [{"labels": [label("x", HORIZON + GRACE + 1)]}])
    assert agent.counts["missing"] == 1


def test_a_missing_label_may_be_assumed() -> None:
    a = event("a", 0)
    writes = drive(match(missing=Assume("n")), [{r: [a[r]] for r in a}, {"labels": [label("x", 500)]}])
    assert examples(writes) == [(b"a", b"n@100|Pa@0|Fa@0")]


def test_a_label_without_an_event_is_an_orphan_once_the_events_have_passed_it() -> None:
    agent = match(refuse="quarantine")
    b = event("b", HORIZON + 2 * GRACE + 1)
    writes = drive(agent, [{"labels": [label("a", 0)]}, {r: [b[r]] for r in b}])
    assert agent.counts["orphan"] == 1
    assert writes["quarantine"][0][0] == b"a"


def test_a_silent_label_stream_no_longer_holds_back_expiry() -> None:
    agent = match(missing=Assume("n"))
    a, b = event("a", 0), event("b", 1_000)
    assert not drive(agent, [{r: [a[r], b[r]] for r in a}], now=0)
    minutes = 60_000
    assert not drive(agent, [{}], now=5 * minutes)
    assert examples(drive(agent, [{}], now=5 * minutes + 1)) == [(b"a", b"n@100|Pa@0|Fa@0")]


# The law, for any input.

ids = st.sampled_from("abcd")
times = st.integers(0, 40).map(lambda n: n * 10)


@st.composite
def streams(draw: st.DrawFn) -> dict[str, list[LogRecord]]:
    """Three input logs. An id names one event, so its doubles carry the same time; labels may be anything."""
    moments = {id: draw(times) for id in "abcd"}
    events = draw(st.lists(ids, max_size=8))
    labels = draw(st.lists(st.tuples(ids, times, st.sampled_from("yn")), max_size=8))
    logs: dict[str, list[LogRecord]] = {role: [] for role in ROLES}
    for offset, id in enumerate(events):
        for role in ("features", "predictions"):
            logs[role].append(event(id, moments[id])[role]._replace(offset=offset))
    for offset, (id, time, value) in enumerate(labels):
        logs["labels"].append(label(id, time, value)._replace(offset=offset))
    return logs


@st.composite
def interleavings(draw: st.DrawFn, logs: dict[str, list[LogRecord]]) -> list[dict[str, list[LogRecord]]]:
    """One way of reading the logs: batches of any cut, from any of the inputs, in the order of each log."""
    at = dict.fromkeys(ROLES, 0)
    steps: list[dict[str, list[LogRecord]]] = []
    while open_roles := [r for r in ROLES if at[r] < len(logs[r])]:
        batch: dict[str, list[LogRecord]] = {}
        for role in draw(st.sets(st.sampled_from(open_roles), min_size=1)):
            count = draw(st.integers(1, len(logs[role]) - at[role]))
            batch[role] = logs[role][at[role] : at[role] + count]
            at[role] += count
        steps.append(batch)
    return steps


policies = st.sampled_from(["drop", Assume("assumed")])


@settings(max_examples=600)
@given(st.data(), streams(), policies)
def test_any_interleaving_gives_the_same_examples(
    data: st.DataObject, logs: dict[str, list[LogRecord]], missing: Any
) -> None:
    outcomes = []
    for _ in range(2):
        agent = match(missing)
        got = examples(drive(agent, data.draw(interleavings(logs))))
        # Time passes: both clocks move far beyond every deadline.
        far = event("far", 10_000)
        got += examples(drive(agent, [{r: [far[r]] for r in far}, {"labels": [label("far", 10_001)]}]))
        assert len({key for key, _ in got}) == len(got), "an id became two examples"
        outcomes.append(sorted(map(repr, got)))
    assert outcomes[0] == outcomes[1]


@settings(max_examples=600)
@given(st.data(), streams(), policies)
def test_a_crash_between_any_two_commits_changes_nothing(
    data: st.DataObject, logs: dict[str, list[LogRecord]], missing: Any
) -> None:
    steps = data.draw(interleavings(logs))
    whole = match(missing)
    expected = examples(drive(whole, steps))

    agent = match(missing)
    changelog: list[LogRecord] = []
    got: list[tuple[bytes | None, bytes | None]] = []
    for batch in steps:
        got += examples(agent.step(batch, 0))
        for key, value, time, _ in agent.checkpoint(0).get("match-changelog", []):
            changelog.append(LogRecord("changelog", 0, len(changelog), time, key, value))
        if data.draw(st.booleans()):
            agent = match(missing)
            changelog = compacted(changelog, data.draw(st.integers(0, len(changelog))), data.draw(st.booleans()))
            agent.restore(changelog)
            agent.resume({})
    assert got == expected


def compacted(log: list[LogRecord], end: int, deleting: bool) -> list[LogRecord]:
    """A log as Kafka's cleaner leaves it, which has come as far as `end`; `deleting` the tombstones, too."""
    last = {record.key: record.offset for record in log[:end]}
    kept = [record for record in log[:end] if last[record.key] == record.offset]
    return [record for record in kept if record.value is not None or not deleting] + log[end:]


@given(
    st.builds(
        lambda *parts: parts,
        st.none() | st.binary(max_size=9),
        st.none() | st.binary(max_size=9),
        st.none() | st.binary(max_size=9),
        times,
        st.lists(st.builds(WaitingLabel, times, times, times, st.binary(max_size=9)), max_size=3),
    )
)
def test_an_entry_survives_its_bytes(parts: tuple[Any, ...]) -> None:
    entry = Entry()
    entry.features, entry.prediction, entry.label, entry.event_time, entry.waiting = parts
    entry.saved = True
    back = decode(encode(entry))
    assert [getattr(back, name) for name in Entry.__slots__] == [getattr(entry, name) for name in Entry.__slots__]


@given(st.dictionaries(st.binary(max_size=70), st.integers(-(1 << 62), 1 << 62), min_size=1), times)
def test_a_pack_survives_its_bytes(deadlines: dict[bytes, int], limit: int) -> None:
    key, value = encode_pack(list(deadlines.items()), limit)
    assert list(decode_pack(value).items()) == list(deadlines.items())
    assert limit_of(key) == limit


def test_a_settled_id_leaves_nothing_behind_once_its_deadline_has_passed() -> None:
    agent = match()
    changelog: dict[bytes | None, bytes | None] = {}
    for name in range(20):
        parts = event(str(name), name)
        steps = [{role: [parts[role]]} for role in parts]
        for batch in [*steps, {"labels": [label(str(name), name + 1)]}]:
            agent.step(batch, 0)
            changelog |= {key: value for key, value, _, _ in agent.checkpoint(0).get("match-changelog", [])}
    assert len([key for key, value in changelog.items() if (key or b"").startswith(PACK) and value is not None]) >= 1
    agent.step({"features": [event("far", 10_000)["features"]], "labels": [label("far", 10_001)]}, 0)
    changelog |= {key: value for key, value, _, _ in agent.checkpoint(0)["match-changelog"]}
    assert {key for key, value in changelog.items() if value is not None} == {CLOCK, b"far"}


def test_labels_of_one_id_without_an_event_are_kept_up_to_a_limit() -> None:
    agent = match(refuse="quarantine")
    writes = agent.step({"labels": [label("unknown", 0, value=str(n)) for n in range(MOST_WAITING + 7)]}, 0)
    assert len(writes["quarantine"]) == 7
    [entry] = [w for w in agent.checkpoint(0)["match-changelog"] if w[0] == b"unknown"]
    assert len(decode(entry[1] or b"").waiting) == MOST_WAITING
    got = examples(drive(agent, [{role: [part] for role, part in event("unknown", 0).items()}]))
    assert [value for _, value in got] == [b"0unknown@0|Punknown@0|Funknown@0"]
