"""A model rebuilt from the nearest snapshot is the one folded from the log alone: it says the same to the last bit,
and takes less time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from river import forest, linear_model, naive_bayes
from support.rebuilding import again, feed, values, whole
from support.tiny import event, tiny

from streamml import Model, Snapshots
from streamml.agents.live import answer
from streamml.models import Fold, Lineage
from streamml.testing import Driver

EVERY = 5
EXAMPLES = 160
BAD = (12, 33, 34)


@pytest.fixture(scope="module")
def driver() -> Driver:
    """Many snapshots, most of them thinned away since; the two models are `lr` and `nb`."""
    made = Driver(tiny("rebuilt", snapshots=Snapshots(every=EVERY, interval=timedelta(hours=1))))
    for start in range(0, EXAMPLES, 20):
        feed(made, range(start, start + 20))
    return made


def lineage(driver: Driver, index: int = 0, *excluded: tuple[int, int], name: str = "") -> Lineage:
    return Lineage.of(driver.topology.models[index], driver.topology.target, excluded, name)


def said(fold: Fold) -> str:
    """What the model says of many rows, to the last bit: that pickles are equal would say less, or too much."""
    rows = [{name: event(n)[name] for name in ("pressure", "temperature")} for n in range(0, 300, 7)]
    return repr([answer(fold, row) for row in rows])


def by_hand(driver: Driver, of: Lineage, position: int) -> str:
    """The state as the laws define it: no snapshot, no start, no replay; only learn, in order."""
    fold = Fold.new(of.model, driver.topology.target)
    for at, value in enumerate(values(driver)[:position]):
        y, x = driver.catalog.examples.learnable(value)
        if not of.skips(at):
            fold.learn(x, y)
    return said(fold)


def test_every_position_is_the_fold_of_the_log_and_the_thinning_law_holds(driver: Driver) -> None:
    lr = lineage(driver)
    alone, replayed = whole(driver, lr), []
    for position in range(EXAMPLES + 1):
        found = again(driver, lr, position)
        assert (found.fold.position, found.fold.name, found.fold.digest) == (position, "lr", lr.digest)
        assert said(found.fold) == said(alone.at(position)), position
        assert found.replayed == position - found.start.position
        assert found.replayed <= max(EVERY, (EXAMPLES - position) // 2), position
        replayed.append(found.replayed)
    # Snapshots were thinned out, so that some positions take more than one interval; and the newest take none.
    assert max(replayed) > 2 * EVERY
    assert replayed[-1] == 0


def test_a_fork_begins_with_its_parent_where_the_two_agree(driver: Driver) -> None:
    lr = lineage(driver)
    fork = lineage(driver, 0, (100, 120), name="lr~1")
    known = {"lr": lr, "lr~1": fork}
    # No snapshot of the parent behind the first excluded position is one of the fork.
    for position in (100, 110, 120, 150):
        found = again(driver, fork, position, known)
        assert 80 <= found.start.position <= 100
        assert found.start.header is not None
        assert found.start.header["model"] == "lr"
        assert (found.fold.name, found.fold.digest, found.fold.position) == ("lr~1", fork.digest, position)
        assert said(found.fold) == by_hand(driver, fork, position)
    assert said(again(driver, fork, 150, known).fold) != said(again(driver, lr, 150).fold)
    # And the parent does not begin with what only the fork has not learned.
    late = lineage(driver, 0, (100, 120), (10, 20), name="lr~2")
    assert again(driver, late, 150, {**known, "lr~2": late}).start.position <= 10


def test_a_snapshot_of_another_definition_is_not_used(driver: Driver) -> None:
    other = Lineage.of(Model("lr", linear_model.LogisticRegression), driver.topology.target)
    found = again(driver, other, 50)
    assert found.start.position == 0
    assert said(found.fold) == by_hand(driver, other, 50)


def test_a_fork_that_learned_nothing_at_first_needs_none_of_those_examples(driver: Driver) -> None:
    lr, nb = lineage(driver), lineage(driver, 1)
    fork = lineage(driver, 0, (0, 90), name="lr~1")
    known = {"lr": lr, "nb": nb, "lr~1": fork}
    at_once = again(driver, fork, 60, known)
    assert (at_once.replayed, at_once.fold.position) == (0, 60)
    assert said(at_once.fold) == by_hand(driver, fork, 60)
    found = again(driver, fork, 150, known)
    # A snapshot of whatever model says which offset a position has.
    assert 0 < found.start.position <= 90
    assert found.start.header is None
    assert said(found.fold) == by_hand(driver, fork, 150)


def test_a_forest_that_learned_nothing_is_not_shaped_by_what_it_is_asked(driver: Driver) -> None:
    model = Model("forest", lambda: forest.ARFClassifier(n_models=2, seed=3))
    of = Lineage.of(model, driver.topology.target, ((0, 30),), "forest~1")
    fold = again(driver, of, 30).fold
    before = fold.dumps()
    fold.predict({"temperature": 1.0})
    assert fold.dumps() == before


Bayes: Any = naive_bayes.GaussianNB


class Fussy(Bayes):  # type: ignore[misc]  # River's signatures are loose
    """Raises on certain examples, after it has changed its state."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        super().learn_one(x, y)
        if x in [{name: event(n)[name] for name in ("pressure", "temperature")} for n in BAD]:
            raise ArithmeticError("too hot to handle")


def test_what_a_model_cannot_learn_is_passed_over_from_any_start() -> None:
    driver = Driver(tiny("fussy", models=(Model("fussy", Fussy),), snapshots=Snapshots(every=EVERY)))
    for start in range(0, 40, 10):
        feed(driver, range(start, start + 10))
    fussy = lineage(driver)
    served = driver.live.get("fussy")
    assert served is not None
    assert said(again(driver, fussy, 40).fold) == said(served)
    alone = whole(driver, fussy)
    for position in range(41):
        found = again(driver, fussy, position)
        assert said(found.fold) == said(alone.at(position))
    # Where the log begins now, the way is begun anew: there is nothing before it.
    assert again(driver, fussy, 38, first=30).start.position >= 30


class Full(Bayes):  # type: ignore[misc]
    """Raises on one example if it has learned 30 before it."""

    learned = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if self.learned >= 30 and x == {name: event(30)[name] for name in ("pressure", "temperature")}:
            raise ArithmeticError("full")
        self.learned += 1
        super().learn_one(x, y)


def test_a_fork_learns_what_made_its_parent_raise_if_it_does_not_make_it_raise() -> None:
    driver = Driver(tiny("full", models=(Model("full", Full),)))
    feed(driver, range(40))
    parent, fork = lineage(driver), lineage(driver, 0, (25, 28), name="full~1")
    assert any("could not learn example 30" in line for line in driver.reports)
    found = again(driver, fork, 40, {"full": parent, "full~1": fork})
    # The parent's snapshot was written when it knew already what it could not learn.
    assert found.start.position == 20
    assert said(found.fold) == by_hand(driver, fork, 40)
    assert said(again(driver, parent, 40).fold) == said(whole(driver, parent).at(40))


def test_the_log_may_hold_fewer_examples(driver: Driver) -> None:
    with pytest.raises(LookupError, match=f"the log holds {EXAMPLES} examples, not {EXAMPLES + 1}"):
        again(driver, lineage(driver), EXAMPLES + 1)
