"""One model learns the examples. Law: the model at position p is the fold of the first p examples, whatever was lost
on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from streamml.agents.agent import Offsets, Reading
from streamml.agents.live import LiveModels
from streamml.agents.refusals import Refusals
from streamml.agents.reports import SNAPSHOTS, report
from streamml.agents.thinning import superfluous
from streamml.errors import DecodeError, SnapshotError, StateLost
from streamml.evaluation import Prequential
from streamml.models import Fold, FoldError, Lineage
from streamml.records import Batch, Record, TopicPartition, Write, Writes
from streamml.schemas import Codec, ExampleReader
from streamml.snapshots import Assembler, Snapshot, dumps, loads, seal
from streamml.topology import Gate, Snapshots, Target

CHANGELOG = "models"
_CANDIDATES = 3


class Learn:
    """Test, then train: the whole `examples` topic for one model, with its prequential results and snapshots.

    A fork is tested on all examples too, and trained on those that it does not exclude. Until it has snapshots of its
    own it begins with one of its `relatives` (lineages by name) that agrees with it there.

    `skip` holds the positions whose examples made the model raise. Such an example is no part of the fold: the state is
    built anew without it. The set outlives the agent, and goes into its snapshots.
    """

    def __init__(
        self,
        lineage: Lineage,
        relatives: Mapping[str, Lineage],
        target: Target,
        window: int,
        policy: Snapshots,
        source: TopicPartition,
        reader: ExampleReader,
        metrics: Codec,
        snapshots: Codec,
        live: LiveModels,
        signing_key: bytes | None,
        skip: set[int],
        report: Callable[[str], None],
        gate: Gate | None = None,
    ) -> None:
        self._lineage = lineage
        self._relatives = relatives
        self._name = lineage.name
        self._target = target
        self._window = window
        self._every = policy.every
        self._interval = int(policy.interval.total_seconds() * 1000)
        self._source = source
        self._reader = reader
        self._metrics = metrics
        self._snapshots = snapshots
        self._live = live
        self._key = signing_key
        self._skip = skip
        self._report = report
        self._assembler = Assembler(signing_key)
        self._candidates: list[Snapshot] = []
        self._borrowed: Snapshot | None = None
        self._lent = Assembler(signing_key)
        self._anchor = 0, 0
        self._kept: dict[int, set[int]] = {}
        self._fold = lineage.new(target)
        self._gate = gate
        self._prequential = Prequential(target, window, gate)
        self._offset = 0
        self._sealed_position = 0
        self._sealed_at: int | None = None
        self._refusals = Refusals()
        self._told = 0

    @property
    def fold(self) -> Fold:
        return self._fold

    def restore(self, records: Sequence[Record]) -> None:
        prefix = f"{self._name}/".encode()
        for record in records:
            key = record.key or b""
            if not key.startswith(prefix):
                if self._lineage.excluded and record.value is not None:
                    self._borrow(record)
                continue
            try:
                _, place, chunk = key.split(b"/")
                position = int(place)
                if record.value is None:
                    self._kept.pop(position, None)
                    self._refusals.settle(record)
                    continue
                # Also what is refused is thinned out in its time.
                self._kept.setdefault(position, set()).add(int(chunk))
                snapshot = self._assembler.add(self._snapshots.decode(record.value))
            except (SnapshotError, DecodeError, ValueError) as error:
                self._refusals.refuse(record, error)
                continue
            if snapshot is not None:
                self._refusals.settle(record)
                self._candidates.append(snapshot)
                del self._candidates[:-_CANDIDATES]

    def _begin_blank(self) -> None:
        """With the last position up to which nothing is learned whose offset is known: what lies before it may be
        deleted."""
        position, self._offset = self._anchor
        self._fold.position = position
        self._prequential.begin(position)

    def _borrow(self, record: Record) -> None:
        """A chunk of another lineage: its snapshot is one of ours where the two agree. Its own learner tells of bad
        ones."""
        relative = self._relatives.get((record.key or b"").split(b"/", 1)[0].decode("utf-8", "replace"))
        if relative is None:
            return
        try:
            snapshot = self._lent.add(self._snapshots.decode(record.value))
        except (SnapshotError, DecodeError):
            return
        if snapshot is None or snapshot.header["digest"] != relative.digest:
            return
        position = snapshot.header["position"]
        if self._anchor[0] < position <= self._lineage.blank:
            self._anchor = position, snapshot.header["offset"]
        best = -1 if self._borrowed is None else self._borrowed.header["position"]
        if position > best and self._lineage.agrees(relative, position):
            self._borrowed = snapshot

    def resume(self, committed: Offsets) -> Offsets:
        bound = committed.get(self._source)
        own = [s for s in self._candidates if s.header["digest"] == self._lineage.digest]
        for snapshot in (*reversed(own), *([self._borrowed] if self._borrowed is not None else ())):
            header = snapshot.header
            if bound is not None and bound and header["offset"] > bound and snapshot is not self._borrowed:
                continue
            try:
                self._load(snapshot)
            except SnapshotError as error:
                self._refusals.unusable(header["model"], header["position"], error)
                continue
            break
        else:
            self._begin_blank()
        self._candidates.clear()
        self._borrowed = None
        self._refusals.tell(self._report)
        self._live.lead(self._fold)
        return {**committed, self._source: self._offset}

    def step(self, batch: Batch, now: int) -> Writes:
        metrics: list[Write] = []
        fold, prequential = self._fold, self._prequential
        learnable, predict, learn, add = self._reader.learnable, fold.predict, fold.learn, prequential.add
        window, every, slices = self._window, self._every, prequential.slices
        position = fold.position
        examples = batch.get("examples", ())
        head = position + len(examples)
        skip: Set[int] = self._skip
        if excluded := self._lineage.skipped(position, head):
            skip = self._skip | excluded
        writes: Writes = {}
        for record in examples:
            y, x = learnable(record.value)
            try:
                output = predict(x)
            except FoldError:
                output = fold.no_answer
            loss = add(y, output)
            if slices is not None:
                slices.add(x, loss)
            if position in skip:
                fold.position += 1
            else:
                try:
                    learn(x, y)
                except FoldError as error:
                    raise self._cannot_learn(position, head, error) from error
            position += 1
            if position % window == 0 and (closed := prequential.close()) is not None:
                metrics.append(self._metric(closed, now))
            if position % every == 0:
                self._offset = record.offset + 1
                writes.setdefault(CHANGELOG, []).extend(self._snapshot(now))
        if examples:
            self._offset = examples[-1].offset + 1
        if self._sealed_at is None:
            self._sealed_at = now
        elif now - self._sealed_at >= self._interval and fold.position > self._sealed_position:
            writes.setdefault(CHANGELOG, []).extend(self._snapshot(now))
        if metrics:
            writes["metrics"] = metrics
        return writes

    def checkpoint(self, now: int) -> Writes:
        # Not with a step: of what is replayed, nothing that steps write would come out.
        new = self._refusals.forged - self._told
        if not new:
            return {}
        self._told += new
        return {"metrics": [report(self._metrics, SNAPSHOTS + self._name, {"snapshots_refused": new}, now)]}

    def observe(self) -> Iterable[Reading]:
        labels = (("model", self._name),)
        yield Reading("model_position", labels, self._fold.position)
        yield Reading("snapshot_position", labels, self._sealed_position)
        yield Reading("snapshots_refused_total", labels, self._refusals.count)

    def _cannot_learn(self, position: int, head: int, error: FoldError) -> StateLost:
        self._skip.add(position)
        self._live.withdraw(self._name, head)
        return StateLost(f"model {self._name} could not learn example {position}, which it skips: {error}")

    def _metric(self, closed: dict[str, object], now: int) -> Write:
        name = self._name
        value = {**closed, "model": name, "digest": self._lineage.digest, "at": now}
        return f"{name}/{closed['window']}".encode(), self._metrics.encode(value), now, ()

    def _snapshot(self, now: int) -> list[Write]:
        position = self._fold.position
        model = self._fold.dumps()
        payload = dumps((model, self._prequential.state(), sorted(self._skip)))
        self._fold.renew(model)
        chunks = seal(
            payload,
            model=self._name,
            digest=self._lineage.digest,
            position=position,
            offset=self._offset,
            at=now,
            key=self._key,
        )
        self._sealed_position, self._sealed_at = position, now
        self._kept[position] = set(range(len(chunks)))
        writes: list[Write] = [(key.encode(), self._snapshots.encode(value), now, ()) for key, value in chunks]
        # No snapshot of ours is ahead of the model: such a one was forged, or the log was made anew.
        name, forged = self._name, self._refusals.spurious
        gone = [p for p in self._kept if p > position or (p < position and f"{name}/{p}".encode() in forged)]
        forged.clear()
        for old in (*gone, *superfluous(sorted(self._kept.keys() - gone))):
            chunks_of = sorted(self._kept.pop(old))
            writes += [(f"{name}/{old}/{chunk}".encode(), None, now, ()) for chunk in chunks_of]
        return writes

    def _load(self, snapshot: Snapshot) -> None:
        header = snapshot.header
        results = Prequential(self._target, self._window, self._gate)
        try:
            fold, prequential, skip = loads(snapshot.payload)
            results.restore(prequential)
            skipped = {int(position) for position in skip}
            model = self._lineage.loads(self._target, fold, header["position"])
        except SnapshotError:
            raise
        except Exception as error:  # Where nothing is signed, it may hold anything.
            raise SnapshotError(f"it does not hold what a learner writes ({type(error).__name__}: {error})") from error
        self._fold, self._prequential = model, results
        if header["digest"] == self._lineage.digest:  # What made a relative raise need not make this one.
            self._skip.update(skipped)
        self._offset = header["offset"]
        self._sealed_position = header["position"]
