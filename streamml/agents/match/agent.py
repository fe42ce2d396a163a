"""The join of features, prediction and label. Law: the examples do not depend on how the three inputs interleave.

Only the order within each input counts. A record is therefore judged by the clock of its own stream, as it stood
when the
record came (its mark), never by what another stream happened to have reached:

- an event is stale (an old double) if the features stream had passed `event time + horizon + grace` before it came;
- a label is late if it became known after `event time + horizon`, or if the label stream had passed that by `grace`
  before;
- a label is early, and no label of this event, if it became known more than `grace` before the event's time.

A label that finds no event waits, and meets the event as if it had come after it. The watermarks only decide when
nothing can change an outcome any more. A settled id is remembered until both streams have passed its deadline, so
that doubles are known as such. What is assumed: an id names one event, whose doubles carry the same event time; and a
prediction follows from its features, so neither stays alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamml.agents.agent import Local, Offsets, Reading
from streamml.agents.match.entry import CLOCK, Entry, WaitingLabel
from streamml.agents.match.paged import PagedState
from streamml.agents.match.state import START, State
from streamml.agents.quarantine import Quarantine
from streamml.records import BareRecord, Batch, LogRecord, Record, TopicPartition, Write, Writes
from streamml.stores import Store
from streamml.topology import Assume, Feedback

CHANGELOG = "match-changelog"

Splice = Callable[[bytes, bytes, bytes], bytes]
"""(label, prediction, features), each framed, to a framed example."""

MakeLabel = Callable[[bytes, int, object], bytes]
"""(id, time in ms, value) to a framed label: for labels that are assumed."""

Label = tuple[int, int, int, bytes]
"""(time, watermark before it, offset, framed value): what `WaitingLabel` names."""

MOST_WAITING = 100
"""Labels of one id that wait for its event; more of them are doubles, whichever of those before it will count."""

_OUTCOMES = (
    "matched",
    "late",
    "early",
    "doubled_label",
    "doubled_event",
    "orphan",
    "missing",
    "assumed",
    "stale",
)


class Match:
    """One partition of the join; see the law above. `labels` names the partition that the labels come from; with a
    `store` most of the state lies on disk."""

    def __init__(
        self,
        feedback: Feedback,
        labels: TopicPartition,
        splice: Splice,
        make_label: MakeLabel,
        quarantine: Quarantine,
        store: Store | None = None,
    ) -> None:
        self._policies = {"late": feedback.late, "early": feedback.orphan, "orphan": feedback.orphan}
        self._doubled_policy = feedback.doubled
        self._missing_policy = feedback.missing
        self._labels = labels
        self._splice = splice
        self._make_label = make_label
        self._quarantine = quarantine
        self._horizon = int(feedback.horizon.total_seconds() * 1000)
        self._grace = int(feedback.grace.total_seconds() * 1000)
        self._span = self._horizon + self._grace
        self._idle = int(feedback.idle.total_seconds() * 1000)
        wait = self._span + self._grace
        paged = PagedState(self._span, wait, store) if store else None
        self.local: Local | None = paged
        self._state = state = paged or State(self._span, wait)
        self._entries, self._done, self._changed = state.entries, state.done, state.changed
        self._unlabelled, self._unclaimed = state.unlabelled, state.unclaimed
        self._last_label_at: int | None = None
        self._examples: list[Write] = []
        self._refused: list[Write] = []
        self.counts = dict.fromkeys(_OUTCOMES, 0)

    def restore(self, records: Sequence[Record]) -> None:
        self._state.restore(records)

    def resume(self, committed: Offsets) -> Offsets:
        self._state.resume()
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        self._state.begin(batch)
        for record in batch.get("features", ()):
            self._on_features(record, now)
        for record in batch.get("predictions", ()):
            self._on_prediction(record)
        labels = batch.get("labels", ())
        for record in labels:
            self._on_label(record, now)
        self._pass_idle_labels(bool(labels), now)
        self._let_go(now)
        writes: Writes = {}
        if self._examples:
            writes["examples"], self._examples = self._examples, []
        if self._refused:
            writes["quarantine"], self._refused = self._refused, []
        return writes

    def checkpoint(self, now: int) -> Writes:
        changes = self._state.checkpoint(now)
        return {CHANGELOG: changes} if changes else {}

    def observe(self) -> Iterable[Reading]:
        yield Reading("pending", (), self._state.pending)
        yield Reading("settled", (), self._state.settled)
        for stream, mark in (("features", self._state.features_mark), ("labels", self._state.labels_mark)):
            if mark != START:
                yield Reading("watermark_ms", (("stream", stream),), mark)
        for outcome, count in self.counts.items():
            yield Reading("match_total", (("outcome", outcome),), count)
        for rule, count in self._quarantine.counts.items():
            yield Reading("quarantined_total", (("rule", rule),), count)

    # The three inputs.

    def _on_features(self, record: BareRecord, now: int) -> None:
        key, time, mark = record.key or CLOCK, record.timestamp, self._state.features_mark
        if time > mark:
            self._state.features_mark = time
            if time >= self._unclaimed.next_at:
                self._expire_unclaimed(now)
        entry = self._entries.get(key)
        if mark > time + self._span:
            self.counts["stale"] += 1
            if entry is not None and entry.features is None:
                entry.prediction = None
                self._drop_if_empty(key, entry)
            return
        if key in self._done or (entry is not None and entry.features is not None):
            self.counts["doubled_event"] += 1
            return
        if entry is None:
            entry = self._entries[key] = Entry()
        entry.features, entry.event_time = record.value, time
        self._changed[key] = entry
        if entry.waiting:
            waiting, entry.waiting = entry.waiting, []
            for label in waiting:
                self._meet(key, entry, label, now)
        if entry.label is None:
            self._unlabelled.add(time + self._span, key)
            if self._state.labels_mark >= self._unlabelled.next_at:
                self._expire_unlabelled()
        else:
            self._complete(key, entry)

    def _on_prediction(self, record: BareRecord) -> None:
        key = record.key or CLOCK
        entry = self._entries.get(key)
        if entry is not None and entry.prediction is not None:
            return
        if entry is None or entry.features is None:
            # Also where a label waits: the prediction of a stale event would be left behind when that label goes.
            if key in self._done or self._state.features_mark > record.timestamp + self._span:
                return
            if entry is None:
                entry = self._entries[key] = Entry()
        entry.prediction = record.value
        self._changed[key] = entry
        if entry.label is not None:
            self._complete(key, entry)
        elif entry.features is not None and self._state.labels_mark > (due := entry.event_time + self._span):
            self._unlabelled.add(due, key)
            self._expire_unlabelled()

    def _on_label(self, record: BareRecord, now: int) -> None:
        key, time, mark = record.key or CLOCK, record.timestamp, self._state.labels_mark
        if time > mark:
            self._state.labels_mark = time
            if time >= self._unlabelled.next_at:
                self._expire_unlabelled()
        label = (time, mark, record.offset, record.value or b"")
        due = self._done.get(key)
        if due is not None:
            if time > due - self._grace or mark > due:
                self._refuse(key, label, "late", now)
            else:
                self._refuse_double(key, label, now)
            return
        entry = self._entries.get(key)
        if entry is None:
            if self._state.features_mark > time + self._span + self._grace:
                self._refuse(key, label, "orphan", now)
                return
            entry = self._entries[key] = Entry()
        if entry.features is None:
            if len(entry.waiting) >= MOST_WAITING:
                self._refuse_double(key, label, now)
                return
            entry.waiting.append(WaitingLabel(*label))
            self._changed[key] = entry
            self._unclaimed.add(time + self._span + self._grace, key)
            return
        self._meet(key, entry, label, now)
        if entry.label is not None:
            self._complete(key, entry)

    # Decisions.

    def _meet(self, key: bytes, entry: Entry, label: Label, now: int) -> None:
        """An event and a label of its id have met: is it the event's label?"""
        time, mark, _, value = label
        deadline = entry.event_time + self._horizon
        if entry.label is not None:
            self._refuse_double(key, label, now)
        elif time + self._grace < entry.event_time:
            self._refuse(key, label, "early", now)
        elif time > deadline or mark > deadline + self._grace:
            self._refuse(key, label, "late", now)
        else:
            entry.label = value
            self._changed[key] = entry

    def _complete(self, key: bytes, entry: Entry) -> None:
        if entry.features is None or entry.prediction is None or entry.label is None:
            return
        example = self._splice(entry.label, entry.prediction, entry.features)
        self._examples.append((key, example, entry.event_time, ()))
        self.counts["matched"] += 1
        self._state.settle(key, entry.event_time + self._span)

    def _refuse_double(self, key: bytes, label: Label, now: int) -> None:
        self.counts["doubled_label"] += 1
        if self._doubled_policy == "quarantine":
            self._quarantine_label(key, label, "doubled_label", "a second label of its id; the first one counts", now)

    def _refuse(self, key: bytes, label: Label, outcome: str, now: int) -> None:
        self.counts[outcome] += 1
        if self._policies[outcome] == "quarantine":
            errors = {
                "late": "the label became known after the horizon of its event",
                "early": "the label became known before its event happened",
                "orphan": "no event of this id came within the horizon of the label",
            }
            self._quarantine_label(key, label, outcome, errors[outcome], now)

    def _quarantine_label(self, key: bytes, label: Label, rule: str, error: str, now: int) -> None:
        topic, partition = self._labels
        time, _, offset, value = label
        record = LogRecord(topic, partition, offset, time, key, value)
        self._refused.append(self._quarantine.refuse(record, rule, error, now))

    # What the clocks allow to be forgotten.

    def _let_go(self, now: int) -> None:
        """Also of what the steps before had no time for."""
        if self._state.features_mark >= self._unclaimed.next_at:
            self._expire_unclaimed(now)
        if self._state.labels_mark >= self._unlabelled.next_at:
            self._expire_unlabelled()
        self._state.forget()

    def _expire_unlabelled(self) -> None:
        for key in self._state.expired(self._unlabelled, self._state.labels_mark):
            entry = self._entries.get(key)
            if entry is None or entry.features is None or entry.label is not None or entry.prediction is None:
                continue
            self.counts["missing"] += 1
            if isinstance(self._missing_policy, Assume):
                self.counts["assumed"] += 1
                known = entry.event_time + self._horizon
                entry.label = self._make_label(key, known, self._missing_policy.value)
                self._complete(key, entry)
            else:
                self._state.settle(key, entry.event_time + self._span)

    def _expire_unclaimed(self, now: int) -> None:
        mark = self._state.features_mark
        for key in self._state.expired(self._unclaimed, mark):
            entry = self._entries.get(key)
            if entry is None or not entry.waiting:
                continue
            for label in entry.waiting:
                if label.time + self._span + self._grace < mark:
                    self._refuse(key, label, "orphan", now)
            entry.waiting = [w for w in entry.waiting if w.time + self._span + self._grace >= mark]
            self._drop_if_empty(key, entry)

    def _drop_if_empty(self, key: bytes, entry: Entry) -> None:
        if entry.empty:
            self._state.drop(key)
        else:
            self._changed[key] = entry

    def _pass_idle_labels(self, any_labels: bool, now: int) -> None:
        """A silent label stream no longer holds back expiry: its clock follows that of the events."""
        if any_labels or self._last_label_at is None:
            self._last_label_at = now
        elif now - self._last_label_at > self._idle and self._state.features_mark > self._state.labels_mark:
            self._state.labels_mark = self._state.features_mark
            self._expire_unlabelled()
