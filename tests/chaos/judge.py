"""The checker: what stands in the topics against what was sent. Law: it knows the seed, the declaration and the logs,
and nothing of the processes that ran.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from struct import Struct

import numpy as np
from chaos import folds
from chaos.codes import code_of, id_in_event, id_of
from chaos.expected import Expected, read_label, read_taken
from chaos.join import Joined, recompute
from chaos.lanes import Lanes, compare
from chaos.learned import Learned
from chaos.pending import differences, remembered
from chaos.storm import GRACE_MS, HORIZON_MS, PARTITIONS
from chaos.verdict import Read, Row, Verdict, codes

from streamml import Topology
from streamml.agents.quarantine import REASON
from streamml.engine.catalog import Catalog

_PAIR = Struct("<dd")


class Judge:
    """Each law is a method; `judge` goes through all of them, and through each topic as few times as it can."""

    def __init__(self, topology: Topology, expected: Expected, read: Read, say: Callable[[str], None]) -> None:
        self.topology = topology
        self.expected = expected
        self.read = read
        self.say = say
        self.catalog = Catalog.in_memory(topology)
        self.verdict = Verdict()
        self._refused: set[tuple[str, int, int]] = set()
        self._lanes: dict[str, dict[int, array[int]]] = {}
        self._said: dict[str, dict[int, array[int]]] = {}
        self._served: dict[str, tuple[array[int], array[int], array[float]]] = {}
        self._joined: list[Joined] = []
        self._bodies: dict[int, int] = {}

    def judge(self) -> Verdict:
        for law in (self._inputs, self._outputs, self._sequences, self._quarantine, self._pending, self._learned):
            self.say(f"checking {law.__name__.strip('_')}")
            law()
        return self.verdict

    # What went in.

    def _inputs(self) -> None:
        """The log holds what was sent: otherwise it is the harness that is at fault, or the broker."""
        found: Counter[tuple[str, bytes, bytes | None]] = Counter()
        for role in ("events", "feedback"):
            self._lanes[role] = {n: codes() for n in range(PARTITIONS)}
            self._said[role] = {n: codes() for n in range(PARTITIONS)}
            for row in self.read(role, None):
                if row.key.startswith(b"m"):
                    self._refused.add((self.topology.topic(role), row.partition, row.offset))
                    found[role, row.key, row.value] += 1
                elif role == "events":
                    self._lanes[role][row.partition].append(code_of(id_in_event(row.value or b"")))
                else:
                    code, said = read_label(row.value or b"")
                    self._lanes[role][row.partition].append(code)
                    self._said[role][row.partition].append(said)
        sent = self.expected
        if found != sent.malformed:
            self.verdict.fail("the malformed records in the log are not those that were sent")
        for role, there in (("events", sent.events), ("feedback", sent.feedback)):
            # Whatever the partitions: as if there were one.
            lane = np.concatenate([np.array(codes) for codes in self._lanes[role].values()])
            lanes = compare({0: there}, {0: lane})  # type: ignore[dict-item]  # an array as well
            self._tell(Lanes(lanes.count, lanes.lost, lanes.doubled), f"{role} against what was sent")
        self.verdict.figures |= {"events in log": len(sent.events), "labels in log": len(sent.feedback)}

    # What came out of `score`, and of the join made again.

    def _outputs(self) -> None:
        for role in ("features", "predictions", "labels"):
            self._lanes[role] = {}
        self._said["labels"] = {}
        wrong: list[int] = []
        for number in range(PARTITIONS):
            joined = recompute(
                self._features(number, wrong), self._predictions(number), self._labels(number), HORIZON_MS, GRACE_MS
            )
            topic = self.topology.topic("labels")
            self._refused |= {(topic, number, offset) for offset in joined.refused}
            for key, body in joined.bodies.items():
                self._bodies[code_of(key)] = hash(body)
            joined.bodies.clear()
            self._joined.append(joined)
        if wrong:
            self.verdict.fail(f"features: {len(wrong)} are not those of their event", map(id_of, wrong))

    def _features(self, number: int, wrong: list[int]) -> Iterator[Row]:
        lane = self._lanes["features"][number] = codes()
        known, pairs = codes(), array("d")
        for row in self.read("features", number):
            code = code_of(row.key)
            lane.append(code)
            if not self.expected.knows(code):
                wrong.append(code)
                continue
            known.append(code)
            pairs.extend(_PAIR.unpack((row.value or b"")[-_PAIR.size :]))
            yield row
        held, sent = np.array(known, dtype=np.int64), self.expected
        rows = sent.rows(held)
        values = np.array(pairs).reshape(-1, 2)  # The values stand by name: pressure, temperature.
        differ = (values[:, 0] != sent.pressure[rows]) | (values[:, 1] != sent.temperature[rows])
        wrong += held[differ].tolist()

    def _predictions(self, number: int) -> Iterator[Row]:
        lane = self._lanes["predictions"][number] = codes()
        decode, served = self.catalog.codec("predictions").decode, self._served
        for row in self.read("predictions", number):
            code = code_of(row.key)
            lane.append(code)
            said = decode(row.value)
            held = served.get(said["model"])
            if held is None:
                held = served[said["model"]] = (codes(), codes(), array("d"))
            held[0].append(said["position"])
            held[1].append(code)
            held[2].extend(folds.answer_of(said["output"]["probabilities"]))
            yield row

    def _labels(self, number: int) -> Iterator[Row]:
        lane, said = codes(), codes()
        self._lanes["labels"][number], self._said["labels"][number] = lane, said
        for row in self.read("labels", number):
            lane.append(code_of(row.key))
            said.append(read_taken(row.value or b""))
            yield row

    def _sequences(self) -> None:
        """Lost, doubled, out of order: every event's features and prediction, every label."""
        total = Lanes()
        for given, found in (("events", "predictions"), ("events", "features"), ("feedback", "labels")):
            contents = (self._said[given], self._said[found]) if found == "labels" else None
            lanes = compare(self._lanes[given], self._lanes[found], contents)
            self._tell(lanes, found)
            for kind in ("lost", "doubled", "disordered"):
                getattr(total, kind).extend(getattr(lanes, kind))
            self.verdict.figures[found] = sum(map(len, self._lanes[found].values()))
        self.verdict.figures |= {k: len(getattr(total, k)) for k in ("lost", "doubled", "disordered")}
        self._lanes.clear()
        self._said.clear()

    def _quarantine(self) -> None:
        """Malformed records and refused labels, each once, byte for byte; nothing else."""
        decode = self.catalog.codec("quarantine").decode
        sources = {self.topology.topic(role): role for role in ("events", "feedback")}
        places: Counter[tuple[str, int, int]] = Counter()
        found: Counter[tuple[str, bytes, bytes | None]] = Counter()
        for row in self.read("quarantine", None):
            why = decode(row.headers[REASON])
            places[why["topic"], why["partition"], why["offset"]] += 1
            if why["topic"] in sources:
                found[sources[why["topic"]], row.key, row.value] += 1
        perhaps = {
            (self.topology.topic("labels"), n, offset)
            for n, j in enumerate(self._joined)
            for offset in j.perhaps_refused
        }
        lost = self._refused - places.keys()
        more = places.keys() - self._refused - perhaps
        twice = [place for place, count in places.items() if count > 1]
        for what, which in (("not there", lost), ("there without a reason", more), ("there twice", twice)):
            if which:
                topic, number, offset = min(which)
                self.verdict.fail(f"quarantine: {len(which)} records are {what}, such as {topic}/{number}@{offset}")
        if found != self.expected.malformed:
            self.verdict.fail("quarantine: the malformed records are not those that were sent, byte for byte")
        self.verdict.figures["quarantined"] = places.total()

    def _pending(self) -> None:
        wanted = perhaps = found = 0
        for number, joined in enumerate(self._joined):
            state = remembered(self.read("match-changelog", number))
            wanted, found = wanted + len(joined.pending), found + len(state.pending)
            perhaps += len(joined.perhaps_pending - joined.pending.keys())
            for what, keys in differences(joined, state).items():
                self.verdict.fail(f"pending in partition {number}: {len(keys)} {what}", keys)
        self.verdict.figures |= {"pending expected": wanted, "pending perhaps": perhaps, "pending found": found}

    def _learned(self) -> None:
        """The examples, the models, their predictions and windows."""
        learned = Learned(self.topology, self.catalog, self.expected, self.read, self.say, self.verdict)
        overtaken = [code_of(key) for joined in self._joined for key in joined.overtaken]
        learned.judge(self._bodies, overtaken, self._served)

    # Tools.

    def _tell(self, lanes: Lanes, what: str) -> None:
        for line in lanes.failures(what):
            self.verdict.fail(line, map(id_of, lanes.offenders[:100]))
