"""`explain` and `models rebuild` as a user runs them, on what a worker has served."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import signal
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from cli.conftest import Cli, Declare, Ran
from confluent_kafka import Message
from support.kafka import produce, read_all

from streamml.cli.rebuild import parsed
from streamml.errors import StreammlError

pytestmark = pytest.mark.kafka

AT = 1_760_000_000_000
MODELS = "models=(Model('lr', lr), Model('tree', lambda: river('tree').HoeffdingTreeClassifier()))"


def csv(name: str, header: str, rows: list[str], cli: Cli) -> str:
    (cli.folder / name).write_text("\n".join([header, *rows]) + "\n")
    return name


def ready(cli: Cli, shop: str) -> Any:
    worker = cli.start("run", shop, "--apply", "--web-port", "0", "--log-format", "json")
    assert worker.stderr is not None
    for line in worker.stderr:
        if json.loads(line)["message"] == "ready":
            break
    return worker


def tail(cli: Cli, shop: str, role: str, count: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cli.ok("tail", shop, role, "--json", "--limit", str(count)).splitlines()]


def changed(message: Message, found: float) -> bytes:
    """The same prediction with one bit of one probability different."""
    value = message.value()
    assert value is not None
    number = struct.pack("<d", found)
    assert number in value
    return value.replace(number, bytes([number[0] ^ 1, *number[1:]]))


def test_a_prediction_is_explained_and_its_model_comes_as_a_file(
    on_kafka: Cli, declare: Declare, app_name: str, kafka: str
) -> None:
    shop = declare(changes=f"{MODELS}, snapshots=Snapshots(every=20), rules=[Range('x', 0, 100)]")
    worker = ready(on_kafka, shop)
    first = csv("a.csv", "id,at,x", [f"{i},{AT + i},{i % 10}" for i in range(50)], on_kafka)
    on_kafka.ok("produce", shop, "events", first)
    tail(on_kafka, shop, "predictions", 50)
    labels = csv("l.csv", "id,y,known", [f"{i},{str(i % 10 > 4).lower()},{AT + 100 + i}" for i in range(50)], on_kafka)
    on_kafka.ok("produce", shop, "feedback", labels)
    examples = tail(on_kafka, shop, "examples", 50)
    later = csv("b.csv", "id,at,x", [f"later-{i},{AT + 1000 + i},{i}" for i in range(5)], on_kafka)
    on_kafka.ok("produce", shop, "events", later)
    tail(on_kafka, shop, "predictions", 55)
    on_kafka.ok("produce", shop, "events", csv("c.csv", "id,at,x", [f"odd,{AT + 2000},777"], on_kafka))
    tail(on_kafka, shop, "quarantine", 1)
    worker.send_signal(signal.SIGINT)
    assert on_kafka.end(worker).code == 0

    predictions = {m.key(): m for m in read_all(kafka, f"{app_name}.predictions")}
    features = {m.key(): m.value() for m in read_all(kafka, f"{app_name}.features")}
    served = json.loads(on_kafka.ok("tail", shop, "predictions", "--json", "--no-follow").splitlines()[-1])["value"]
    assert served["id"].startswith("later-")
    id = served["id"]
    _forge(kafka, app_name, predictions[id.encode()], features[id.encode()], served)

    # A few at a time: each is a process that imports River.
    explained = [("explain", shop, one, "--json") for one in (id, "7", "odd", "forged")]
    whole, early, odd, forged = (json.loads(ran.out) for ran in _run(on_kafka, explained, codes=[0, 0, 1, 1]))
    _has_all_of_it(whole, served)
    assert early["example"]["position"] == next(n for n, example in enumerate(examples) if example["key"] == "7")
    assert (early["label"]["value"]["value"], early["feedback"][0]["value"]["y"]) == (True, True)
    assert early["identical"] is True
    assert odd["event"]["value"]["id"] == "odd"
    assert "refused by range" in odd["problem"]
    assert "in quarantine at " in odd["problem"]
    assert (forged["identical"], forged["problem"], forged["output"]) == (False, None, served["output"])

    in_words = [("explain", shop, one) for one in (id, "odd", "nobody", "forged")]
    said, refused, nobody, differs = _run(on_kafka, in_words, codes=[0, 1, 1, 1])
    _says_it_in_words(said.out, served)
    assert "id odd was not made again: its event was refused by range" in on_kafka.error_of(refused)
    assert "'nobody'" in on_kafka.error_of(nobody)
    assert "NOT identical: " in differs.out

    name = f"lr@{served['position']}"
    files = [(name, "-o", "lr.pickle", "--json"), ("tree@40", "-o", "tree.pickle")]
    files += [("lr@999", "-o", "x"), ("tree@1", "-o", "no/such/folder")]
    runs = _run(on_kafka, [("models", "rebuild", shop, *file) for file in files], codes=[0, 0, 1, 1])
    _is_the_model_that_served(on_kafka, runs[0], served)
    assert "model     tree@40" in runs[1].out
    assert "from the snapshot tree@40, 0 examples replayed" in runs[1].out
    assert "holds 50 examples, so there is no lr@999 yet" in on_kafka.error_of(runs[2])
    assert "cannot write no/such/folder" in on_kafka.error_of(runs[3])


def _run(cli: Cli, commands: Sequence[Sequence[str]], codes: list[int]) -> list[Ran]:
    runs = cli.run_all(commands)
    assert [ran.code for ran in runs] == codes, [ran.err for ran in runs]
    return runs


def _forge(kafka: str, app: str, prediction: Message, features: bytes | None, served: dict[str, Any]) -> None:
    """One bit is enough; under an id of its own."""
    forged = changed(prediction, served["output"]["probabilities"]["True"])
    produce(kafka, f"{app}.predictions", [(b"forged", forged)], partitioner="murmur2_random")
    produce(kafka, f"{app}.features", [(b"forged", features)], partitioner="murmur2_random")


def _has_all_of_it(whole: dict[str, Any], served: dict[str, Any]) -> None:
    assert whole["prediction"]["value"] == served
    assert whole["model"] == {
        "name": "lr",
        "digest": served["digest"],
        "position": served["position"],
        "root": "lr",
        "parent": None,
        "excluded": [],
    }
    assert (whole["identical"], whole["problem"], whole["output"]) == (True, None, served["output"])
    assert whole["features"]["value"]["values"] == {"x": whole["event"]["value"]["x"]}
    assert base64.b64decode(whole["event"]["value_base64"])[0] == 0
    assert (whole["label"], whole["example"], whole["feedback"]) == (None, None, [])
    assert whole["rebuilt"]["position"] + whole["rebuilt"]["replayed"] == served["position"]
    champion = whole["control"]["champion"]
    assert (champion["model"], champion["position"], champion["decision"]["offset"]) == ("lr", None, 0)
    (score,) = whole["contributions"]["scores"]
    assert (score["of"], [term["feature"] for term in score["terms"]]) == ("True", ["x"])


def _says_it_in_words(text: str, served: dict[str, Any]) -> None:
    titles = [line[:12].strip() for line in text.splitlines() if line[:1].strip()]
    wanted = "id, event, features, prediction, label, example, model, champion, rebuilt, why"
    assert titles == wanted.split(", ")
    assert f"lr@{served['position']}  digest {served['digest']}" in text
    assert "identical, to the last bit" in text
    assert "contribution" in text
    assert "none: no model has learned from it" in text


def _is_the_model_that_served(cli: Cli, made: Ran, served: dict[str, Any]) -> None:
    facts, data = json.loads(made.out), (cli.folder / "lr.pickle").read_bytes()
    assert (facts["model"], facts["position"], facts["digest"]) == ("lr", served["position"], served["digest"])
    assert (facts["sha256"], facts["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert facts["replayed"] == served["position"] - (facts["snapshot"] or {"position": 0})["position"]
    # Plain River, as anyone loads it.
    model = pickle.loads(data)
    x = {"x": float(served["id"].removeprefix("later-"))}
    assert model.predict_proba_one(x)[True] == served["output"]["probabilities"]["True"]


def test_what_is_no_model_at_a_position_is_said() -> None:
    assert parsed("lr~1@500") == ("lr~1", 500)
    for text in ("lr", "lr@", "@5", "lr@-1", "lr@five", "lr@1e3", "lr@" + "9" * 30):
        with pytest.raises(StreammlError, match="is no model at a position: write NAME@POSITION, such as lr@500"):
            parsed(text)
