"""A model that raises on learn, in a worker on real Kafka that goes on serving. What it said can be said again.

Law: a prediction is that of the model at its position, which is the fold without the examples that it cannot learn.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from support.kafka import produce, read_all
from support.processes import eventually, get, get_json, running
from support.tiny import event, label

from streamml.engine.catalog import Catalog
from streamml.engine.rebuild import Replay
from streamml.topology import Topology, load_topology

EVENTS = 300
UNLEARNABLE = (90, 170, 250)
TOPOLOGY = """
import time
from datetime import timedelta

from river import naive_bayes
from support.tiny import tiny

from streamml import Model, Snapshots


class Fragile(naive_bayes.GaussianNB):
    '''Has changed already when it raises; and is slow enough to be asked while it is built anew.'''

    def learn_one(self, x, y):
        time.sleep(0.003)
        super().learn_one(x, y)
        if x["temperature"] == -89.0:
            raise ArithmeticError("too cold")


topology = tiny(
    NAME, models=(Model("fragile", Fragile),), snapshots=Snapshots(every=1_000_000, interval=timedelta(days=1))
)
"""


def feed(bootstrap: str, topology: Topology, catalog: Catalog, failed: list[BaseException]) -> None:
    """Events at the pace of a source, each with its label."""
    events, labels = (catalog.codec(role) for role in ("events", "feedback"))
    try:
        for number in range(EVENTS):
            cold = {"temperature": -89.0} if number in UNLEARNABLE else {}
            key = b"%d" % number
            produce(bootstrap, topology.topic("events"), [(key, events.encode({**event(number), **cold}))])
            produce(bootstrap, topology.topic("feedback"), [(key, labels.encode(label(number)))])
    except BaseException as error:
        failed.append(error)


@pytest.mark.kafka
def test_what_cannot_be_learned_is_left_out_and_no_prediction_is_of_a_broken_model(
    kafka: str, app_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "fragile.py"
    file.write_text(TOPOLOGY.replace("NAME", repr(app_name)))
    topology = load_topology(str(file))
    catalog = Catalog.in_memory(topology)
    failed: list[BaseException] = []
    with running("-m", "support.tiny_worker", str(file), kafka) as process:
        url = process.line("status on ").rpartition("status on ")[2].rstrip("/")
        eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)
        source = threading.Thread(target=feed, args=(kafka, topology, catalog, failed))
        source.start()
        eventually(lambda: get_json(f"{url}/status.json")["models"][0]["position"], lambda at: at == EVENTS)
        source.join()
        assert not failed
        assert process.end(signal.SIGTERM) == 0
    lost = [line for line in process.lines if "session lost" in line]
    assert len(lost) == len(UNLEARNABLE)
    assert all("could not learn example" in line for line in lost)

    read = {role: read_all(kafka, topology.topic(role)) for role in ("examples", "features", "predictions")}
    seen, said = (
        [catalog.codec(role).decode(message.value() or b"") for message in read[role]]
        for role in ("features", "predictions")
    )
    assert [p["id"] for p in said] == [str(number) for number in range(EVENTS)]
    examples = [message.value() or b"" for message in read["examples"]]
    replay = Replay(topology.models[0], topology.target, catalog.examples, examples)
    pairs = zip(seen, said, strict=True)
    for features, prediction in sorted(pairs, key=lambda pair: int(pair[1]["position"])):
        assert replay.predict(prediction["position"], features["values"]) == prediction["output"]
        assert prediction["position"] == 0 or prediction["output"]["label"] is not None

    furthest = falls = 0
    for prediction in said:
        furthest = max(furthest, prediction["position"])
        falls += prediction["position"] < furthest
        assert prediction["staleness"] >= furthest - prediction["position"]
    assert falls
