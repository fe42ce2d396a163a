"""Decisions of the gate counted again from the two logs: whatever happened, the figures are the same to the last bit;
and whatever was altered since, shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from river import dummy, linear_model, preprocessing
from support.tiny import event, label, tiny

from streamml import Gate, Model, Rollback, Slice, Topology
from streamml.engine.recount import Recount, Report, recount
from streamml.testing import Driver

GATE = Gate(minimum=40, rollback=Rollback(on=("degradation",), minimum=20), slices=(Slice("pressure", minimum=1),))
PRIOR = Model("prior", dummy.PriorClassifier)
LR = Model("lr", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression())
SLOW = Model("slow", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(l2=0.5))
Entry = tuple[int, dict[str, Any]]


def weather(gate: Gate | None = GATE, models: tuple[Model, ...] = (PRIOR, LR)) -> Topology:
    """The challenger is better than the champion as soon as it has learned something."""
    return tiny("weather", models=models, gate=gate)


def feed(driver: Driver, numbers: range, rain: Callable[[int], bool | None] = lambda number: None) -> None:
    """Examples, a window of ten at a time."""
    for start in numbers[::10]:
        for number in range(start, start + 10):
            driver.produce("events", event(number))
        driver.run()
        for number in range(start, start + 10):
            driver.produce("feedback", label(number, rain=rain(number)))
        driver.run()


def dry_when_warm(number: int) -> bool:
    """The opposite of what was learned."""
    return not label(number)["rain"]


def command(driver: Driver, action: str, model: str | None = None, **fields: Any) -> None:
    empty = dict.fromkeys(("position", "accepted", "command", "parent", "from_position", "to_position"))
    said: dict[str, Any] = {
        "kind": "command",
        "action": action,
        "model": model,
        "reason": "try it",
        "author": "ann",
        "evidence": {},
    }
    driver.produce("control", {**empty, **said, "at": driver.clock(), **fields})
    driver.run()


def entries(driver: Driver, role: Any) -> list[Entry]:
    codec = driver.catalog.codec(role)
    return [(record.offset, codec.decode(record.value)) for record in driver.records(role)]


def counted(driver: Driver, topology: Topology | None = None) -> Report:
    return recount(topology or driver.topology, entries(driver, "metrics"), entries(driver, "control"))


def outcomes(report: Report) -> list[tuple[str, str | None, bool, str]]:
    return [(d["action"], d["model"], d["accepted"], outcome) for _, d, outcome, _ in report.decisions]


@pytest.fixture(scope="module")
def life() -> Driver:
    """A promotion, a fork, a pause, a turn of the weather with a way back, and a kill in the middle of each race."""
    driver = Driver(weather(models=(PRIOR, LR, SLOW)), max_records=7)
    feed(driver, range(30))
    driver.crash()
    feed(driver, range(30, 100))
    command(driver, "pause", "slow")
    feed(driver, range(100, 130))
    command(driver, "resume", "slow")
    command(driver, "exclude", "lr", from_position=10, to_position=20)
    feed(driver, range(130, 150))
    driver.crash()
    feed(driver, range(150, 200))
    feed(driver, range(200, 400), dry_when_warm)
    return driver


def test_a_whole_life_is_counted_again_to_the_last_bit(life: Driver) -> None:
    report = counted(life)
    assert {outcome for *_, outcome in outcomes(report)} == {"identical"}
    assert report.count("identical") == len(report.decisions)
    assert not report.different
    assert [at for at, *_ in report.decisions] == [at for at, e in entries(life, "control") if e["author"] == "gate"]
    ways = {(action, accepted) for action, _, accepted, _ in outcomes(report)}
    assert ways == {("validate", True), ("promote", True), ("promote", False), ("rollback", True)}
    late = next(d for _, d, *_ in report.decisions if d["evidence"].get("first_position", 0) > 0)
    assert late["model"] == "slow"
    assert report.windows == len([w for _, w in entries(life, "metrics") if w["model"] in life.roster.lineages])


def test_who_paused_or_was_forked_has_joined_later() -> None:
    driver = Driver(weather())
    feed(driver, range(20))
    command(driver, "pause", "lr")
    feed(driver, range(20, 40))
    command(driver, "resume", "lr")
    driver.crash()
    command(driver, "exclude", "lr", from_position=0, to_position=2)
    feed(driver, range(40, 160))
    report = counted(driver)
    shares = {d["model"]: d["evidence"]["share"] for _, d, *_ in report.decisions if d["action"] == "validate"}
    assert shares == {"lr": 0.125, "lr~1": 0.0625}
    assert report.count("identical") == len(report.decisions) > 2


def test_it_takes_a_window_at_a_time_and_reads_no_reports(life: Driver) -> None:
    counting = Recount(life.topology, entries(life, "control"))
    assert [name for name in ("lr", "lr~1", "prior", "served", "serving/0", "nb") if counting.reads(name)] == [
        "lr",
        "lr~1",
        "prior",
    ]
    for offset, window in entries(life, "metrics"):
        if counting.reads(window["model"]):
            counting.take(offset, window)
    assert counting.report() == counted(life)


def test_an_altered_loss_is_found_out_from_there_on(life: Driver) -> None:
    metrics = entries(life, "metrics")
    promoted = next(e for _, e in entries(life, "control") if e["action"] == "promote" and e["author"] == "gate")
    last = promoted["evidence"]["metrics_offset"]
    at = max(n for n, (offset, w) in enumerate(metrics) if w["model"] == "lr" and offset <= last)
    metrics[at][1]["losses"][3] = 1.0 - metrics[at][1]["losses"][3]
    report = recount(life.topology, metrics, entries(life, "control"))
    # Of the races of that reign it is in one.
    assert [(model, outcome) for _, model, _, outcome in outcomes(report)] == [
        (model, "different" if model == "lr" else "identical") for _, model, *_ in outcomes(report)
    ]
    found = report.different[0]
    assert "loss_challenger" in {difference.figure for difference in found.differences}
    assert str(found).startswith(
        f"control@{found.offset}, {found.decision['action']} lr accepted: e_value is recorded as "
    )
    assert str(found).endswith(f"; {len(found.differences) - 1} more differ")


@pytest.mark.parametrize("figure", ["e_maximum", "loss_champion", "share", "first_position"])
def test_an_altered_figure_is_named(life: Driver, figure: str) -> None:
    control = entries(life, "control")
    offset, altered = next((o, e) for o, e in control if e["author"] == "gate")
    was = altered["evidence"][figure]
    altered["evidence"][figure] = was * (1 + 2**-52) or 5e-324
    (found,) = recount(life.topology, entries(life, "metrics"), control).different
    assert found.offset == offset
    (difference,) = found.differences
    assert difference == (figure, altered["evidence"][figure], was)


def test_a_decision_without_the_evidence_for_it_is_found_out(life: Driver) -> None:
    """The figures of a race that was not decided yet, and so no examination was due."""
    strict = weather(Gate(alpha=1e-12, minimum=40, slices=GATE.slices), models=life.topology.models)
    (first, *_) = counted(life, strict).decisions
    assert first.outcome == "different"
    assert {d.figure for d in first.differences} == {"threshold", "lower", "upper"}
    again = weather(Gate(minimum=50, slices=GATE.slices), models=life.topology.models)
    (first, *_) = counted(life, again).decisions
    assert first.outcome == "different"
    assert first.differences == (("decided", 1.0, 0.0),)


def test_what_an_examination_measured_is_not_counted_again(life: Driver) -> None:
    control = entries(life, "control")
    for _, entry in control:
        entry["evidence"] |= {"validation.latency_p99": 1e9}
    assert not recount(life.topology, entries(life, "metrics"), control).different


def test_decisions_of_others_are_no_matter(life: Driver) -> None:
    control = entries(life, "control")
    replay = {**control[0][1], "action": "replay", "author": "ann", "model": None, "evidence": {}}
    assert counted(life) == recount(
        life.topology, entries(life, "metrics"), [control[0], (control[0][0], replay), *control[1:]]
    )


def declared_later(before: Topology, after: Topology) -> Driver:
    """The first reign was 40 examples old when the topology was declared anew."""
    driver = Driver(before)
    feed(driver, range(40))
    driver.topology = after
    driver.crash()
    feed(driver, range(40, 120))
    return driver


@pytest.mark.parametrize(
    ("before", "after"),
    [(weather(models=(PRIOR,)), weather()), (weather(gate=None), weather())],
    ids=["the challenger", "the gate"],
)
def test_what_was_declared_later_is_counted_from_where_its_race_began(before: Topology, after: Topology) -> None:
    driver = declared_later(before, after)
    report = counted(driver)
    assert outcomes(report) == [("validate", "lr", True, "figures"), ("promote", "lr", True, "figures")]
    assert report.count("figures") == 2
    assert "from a start that the topology as declared now does not lead to" in str(report.decisions[0])
    # And still each figure is looked at.
    control = entries(driver, "control")
    altered = next(e for _, e in control if e["author"] == "gate")
    altered["evidence"]["loss_champion"] += 0.001
    (found, *_) = recount(after, entries(driver, "metrics"), control).different
    assert "loss_champion" in {difference.figure for difference in found.differences}


def test_a_race_without_examples_is_counted_too(life: Driver) -> None:
    """`slow` had won as well when `lr` was promoted, and was judged by its race in the new reign."""
    (empty,) = (r for r in counted(life).decisions if r.decision["evidence"]["examples"] == 0)
    assert (empty.decision["accepted"], empty.outcome) == (False, "identical")
    one_more = weather(models=(*life.topology.models, Model("late", dummy.PriorClassifier)))
    (again,) = (r for r in counted(life, one_more).decisions if r.offset == empty.offset)
    assert again.outcome == "figures"


def test_a_model_that_is_declared_no_longer_is_still_counted(life: Driver) -> None:
    report = counted(life, weather(models=(PRIOR, SLOW)))
    assert [outcome for *_, outcome in outcomes(report)][:2] == ["figures", "figures"]


def test_windows_of_another_size_are_no_windows_of_a_race(life: Driver) -> None:
    others = []
    for offset, window in entries(life, "metrics"):
        others += [(offset, {**window, "count": 5, "losses": window["losses"][:5]}), (offset, window)]
    assert recount(life.topology, others, entries(life, "control")) == counted(life)


def test_what_metrics_no_longer_holds_is_said_to_be_gone(life: Driver) -> None:
    metrics, control = entries(life, "metrics"), entries(life, "control")
    promoted = next(e for _, e in control if e["action"] == "promote" and e["author"] == "gate")
    first = int(promoted["evidence"]["metrics_offset"]) - 2
    left = [(offset, window) for offset, window in metrics if offset >= first]
    report = recount(life.topology, left, control, first)
    reign = [d["action"] for _, d, *_ in report.decisions].index("promote") + 1
    assert [outcome for *_, outcome in outcomes(report)] == [
        "gone" if n < reign else "identical" for n in range(len(report.decisions))
    ]
    assert "no longer holds" in str(report.decisions[0])
    # If nothing was deleted, windows that are missing are a difference.
    assert recount(life.topology, left, control).different


def test_without_a_gate_nothing_is_to_be_counted() -> None:
    driver = Driver(weather(gate=None))
    feed(driver, range(60))
    assert counted(driver) == Report((), 12)
