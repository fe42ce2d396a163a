"""What `control` tells of the models, and how that is written down; on the Driver."""

from __future__ import annotations

from typing import Any

import pytest
from river import dummy
from support.rebuilding import feed, shelf_of
from support.tiny import tiny

from streamml import Gate, Model
from streamml.agents.roster import Reign
from streamml.cli.models_history import History
from streamml.cli.models_reading import Seen
from streamml.cli.models_rendering import row, table, whole, whole_json
from streamml.runtime.commanding import command_of
from streamml.runtime.looking_back import Snapshots, Windows, by_lineage
from streamml.testing import Driver

DAY = "2023-11-14T22:13:20.000Z"
"""When the Driver's clock begins."""


def ask(driver: Driver, action: str, model: str | None = None, **fields: Any) -> None:
    driver.clock.advance(1_000)
    driver.produce(
        "control", command_of(action, model, reason=f"{action} it", author="ann", at=driver.clock(), **fields)
    )
    driver.run()


def history_of(driver: Driver) -> History:
    codec = driver.catalog.codec("control")
    return History(driver.topology, [(r.offset, codec.decode(r.value)) for r in driver.records("control")])


def seen_of(driver: Driver) -> Seen:
    history = history_of(driver)
    lineages = history.roster.lineages
    windows = Windows(driver.catalog.codec("metrics"), lineages, lineages)
    snapshots = Snapshots(driver.catalog.codec("models"), None, lineages, lineages)
    for record in driver.records("metrics"):
        windows.take(record)
    for record in driver.records("models"):
        snapshots.take(record)
    return Seen(history, windows.found, snapshots.found)


@pytest.fixture(scope="module")
def driver() -> Driver:
    """lr; nb; lr as it was after 30 examples; nb again; with a fork and a refusal."""
    made = Driver(tiny("told"))
    feed(made, range(50))
    ask(made, "promote", "nb")
    ask(made, "exclude", "lr", from_position=10, to_position=20)
    ask(made, "rollback", "lr", position=30)
    ask(made, "pause", "lr~1")
    ask(made, "retire", "lr")
    ask(made, "rollback")
    ask(made, "retire", "lr")
    return made


def test_nobody_has_been_champion_before_it_was_decided() -> None:
    history = History(tiny("told"), [])
    assert (history.since, history.terms, history.status("lr"), history.status("nb")) == (
        None,
        [],
        "champion",
        "racing",
    )


def test_each_reign_has_its_times_and_its_reason(driver: Driver) -> None:
    history, start = history_of(driver), driver.clock() - 7_000
    assert [(term.reign, term.since - start, term.until and term.until - start) for term in history.terms] == [
        (Reign("lr"), 0, 1_000),
        (Reign("nb"), 1_000, 3_000),
        (Reign("lr", 30), 3_000, 6_000),
        (Reign("nb"), 6_000, None),
    ]
    assert history.since == start + 6_000
    assert history.terms_of("nb") == [history.terms[1], history.terms[3]]
    assert history.terms[1].why == "promote it"


def test_what_the_first_model_of_a_later_file_never_was_it_is_not_said_to_have_been() -> None:
    driver = Driver(tiny("told"))
    ask(driver, "promote", "nb")
    nb_first = tiny("told", models=driver.topology.models[::-1])
    codec = driver.catalog.codec("control")
    history = History(nb_first, [(r.offset, codec.decode(r.value)) for r in driver.records("control")])
    assert [term.reign for term in history.terms] == [Reign("lr"), Reign("nb")]


def test_every_status_has_its_words(driver: Driver) -> None:
    history = history_of(driver)
    assert {name: history.status(name) for name in history.roster.lineages} == {
        "lr": "retired",
        "nb": "champion",
        "lr~1": "paused",
    }
    codec = driver.catalog.codec("control")
    entries = [(r.offset, codec.decode(r.value)) for r in driver.records("control")]
    pinned = next(n for n, (_, e) in enumerate(entries) if e["kind"] == "decision" and e["position"] == 30)
    assert History(driver.topology, entries[: pinned + 1]).status("lr") == "champion, pinned at 30"


def test_decisions_on_a_model_tell_who_asked(driver: Driver) -> None:
    history = history_of(driver)
    on_lr = [(d["action"], d["accepted"], history.asked_by(d)) for _, d in history.about("lr")]
    assert on_lr == [
        ("promote", True, None),
        ("exclude", True, "ann"),
        ("rollback", True, "ann"),
        ("retire", False, "ann"),
        ("retire", True, "ann"),
    ]
    assert [d["action"] for _, d in history.about("lr~1")] == ["exclude", "pause"]


def test_a_race_stands_as_it_was_decided_on_last(driver: Driver) -> None:
    assert history_of(driver).standing("nb") is None
    models = (Model("prior", dummy.PriorClassifier), driver.topology.models[0])
    gated = Driver(tiny("told", gate=Gate(minimum=40), models=models))
    feed(gated, range(100))
    seen = seen_of(gated)
    standing = seen.history.standing("lr")
    assert standing is not None
    *_, (_, last) = (entry for entry in seen.history.about("lr") if entry[1]["author"] == "gate")
    assert standing == (last["at"], last["evidence"])
    assert whole_json(gated.topology, seen, [], "lr")["race"]["evidence"] == last["evidence"]
    (line,) = (line for line in whole(gated.topology, seen, [], "lr", 0) if line.startswith("race"))
    assert line.startswith(f"race       {DAY}: {last['evidence']['examples']:.0f} examples, mean loss ")
    assert line.endswith(f" of {last['evidence']['threshold']:.4g}")


def test_the_list_is_a_line_for_each_model(driver: Driver) -> None:
    seen = seen_of(driver)
    lines = list(table(driver.topology, seen))
    digests = {name: lineage.digest for name, lineage in seen.history.roster.lineages.items()}
    window = {name: seen.windows[name] for name in digests}
    figure = {n: (f"{w['metrics']['accuracy']:.4g}", f"{w['cumulative']['accuracy']:.4g}") for n, w in window.items()}
    since = DAY.replace("20.000Z", "26.000Z")
    assert [line.split() for line in lines] == [
        ["model", "status", "digest", "without", "window", "snapshot", "newest", "over", "all", "since"],
        ["lr", "retired", digests["lr"], "-", "50", "40", *figure["lr"], "-"],
        ["nb", "champion", digests["nb"], "-", "50", "40", *figure["nb"], since],
        ["lr~1", "paused", digests["lr~1"], "10-19", "50", "40", *figure["lr~1"], "-"],
    ]
    assert len({line.index(word) for line, word in zip(lines[1:], ("retired", "champion", "paused"), strict=True)}) == 1
    assert row(driver.topology, seen, "lr~1") == {
        "model": "lr~1",
        "declared_as": "lr",
        "champion": False,
        "pinned": None,
        "status": "paused",
        "digest": digests["lr~1"],
        "excluded": [[10, 20]],
        "window": {
            "from": 40,
            "position": 50,
            "metric": "accuracy",
            "newest": window["lr~1"]["metrics"]["accuracy"],
            "cumulative": window["lr~1"]["cumulative"]["accuracy"],
            "at": window["lr~1"]["at"],
        },
        "snapshot": 40,
        "since": None,
    }


def test_what_is_not_there_is_a_dash_and_null() -> None:
    topology = tiny("told")
    seen = Seen(History(topology, []), {}, {})
    assert [line.split()[3:] for line in list(table(topology, seen))[1:]] == [["-"] * 6] * 2
    assert {name for name, value in row(topology, seen, "lr").items() if value is None} == {
        "pinned",
        "window",
        "snapshot",
        "since",
    }
    assert list(whole(topology, seen, [], "lr", 0))[1:] == [
        "status     champion",
        f"digest     {seen.history.roster.lineages['lr'].digest}",
        "window     none of late",
    ]


def test_one_model_is_told_whole(driver: Driver) -> None:
    seen = seen_of(driver)
    held = by_lineage(shelf_of(driver), seen.history.roster.lineages)["lr"]
    assert [start.position for start in held] == [20, 40]
    now = driver.clock() + 120_000 - 7_000
    lines = list(whole(driver.topology, seen, held, "lr", now))
    size = held[0].header["size"] if held[0].header is not None else 0
    assert lines[0:2] == ["model      lr", "status     retired"]
    assert f"snapshot   20: {size} bytes, 2 min old" in lines
    assert [line for line in lines if line.startswith("reign")] == [
        f"reign      {DAY} to {DAY.replace('20.0', '21.0')}: the first model of the topology serves from the start",
        f"reign      {DAY.replace('20.0', '23.0')} to {DAY.replace('20.0', '26.0')}, pinned at 30: rollback it",
    ]
    assert [line for line in lines if line.startswith("decision")] == [
        f"decision   {DAY} promote accepted by govern: the first model of the topology serves from the start",
        f"decision   {DAY.replace('20.0', '22.0')} exclude 10-19 from lr as lr~1 accepted by govern for ann: "
        "exclude it",
        f"decision   {DAY.replace('20.0', '23.0')} rollback at 30 accepted by govern for ann: rollback it",
        f"decision   {DAY.replace('20.0', '25.0')} retire refused by govern for ann: "
        "lr is the champion; promote another model first",
        f"decision   {DAY.replace('20.0', '27.0')} retire accepted by govern for ann: retire it",
    ]
    told = whole_json(driver.topology, seen, held, "lr")
    assert told["snapshots"][0] == {"position": 20, "size": size, "at": driver.clock() - 7_000}
    assert [(reign["position"], reign["reason"]) for reign in told["reigns"]] == [
        (None, "the first model of the topology serves from the start"),
        (30, "rollback it"),
    ]
    assert [(d["action"], d["asked_by"]) for d in told["decisions"]][-1] == ("retire", "ann")
    assert next(whole(driver.topology, seen, [], "lr~1", now)) == "model      lr~1: lr without the positions 10-19"
