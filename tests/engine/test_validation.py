"""The examination of a challenger: what two snapshots and the examples between them show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from river import linear_model, naive_bayes, preprocessing

from streamml import Classification, Limits, Model, Regression
from streamml.engine.validation import ROWS, Examination, examine
from streamml.evaluation import Prequential
from streamml.gates import problems_of
from streamml.models import FoldError, Lineage
from streamml.snapshots import Snapshot, dumps
from streamml.topology import Target

WET = Classification(False, True)
Example = tuple[Any, dict[str, Any]]


def rows(count: int, start: int = 0) -> list[Example]:
    return [
        (number * 7 % 31 > 15, {"pressure": 1000.0 + number * 13 % 23, "temperature": float(number * 7 % 31)})
        for number in range(start, start + count)
    ]


def logistic() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


LR = Model("lr", logistic)


class Refusing(naive_bayes.GaussianNB):
    """Has changed already when it raises on the coldest days."""

    def learn_one(self, x: Any, y: Any) -> None:
        learn: Any = super().learn_one
        learn(x, y)
        if x["temperature"] == 0.0:
            raise ArithmeticError("too cold")


class Unsure(naive_bayes.GaussianNB):
    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {0: 0.7, 1: 0.7} if x["temperature"] < 10 else {0: 0.5, 1: 0.5}


class Silent(naive_bayes.GaussianNB):
    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        if x["temperature"] < 20:
            raise ArithmeticError("no idea")
        return {0: 0.5, 1: 0.5}


_drawn = count()


class Random(naive_bayes.GaussianNB):
    """Learns what the log does not hold."""

    def learn_one(self, x: Any, y: Any) -> None:
        learn: Any = super().learn_one
        learn({**x, "drawn": float(next(_drawn))}, y)

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        ask: Any = super().predict_proba_one
        return ask({**x, "drawn": 3.0})


class Course:
    """A learner of one lineage: its snapshots on the way."""

    def __init__(self, model: Model = LR, target: Target = WET, excluded: tuple[tuple[int, int], ...] = ()) -> None:
        self.lineage = Lineage.of(model, target, excluded)
        self.target = target
        self.fold = self.lineage.new(target)
        self.skip: set[int] = set()

    def learn(self, examples: list[Example]) -> Snapshot:
        start = self.fold.position
        values = list(examples)
        while True:
            for y, x in values:
                position = self.fold.position
                if position in self.skip or self.lineage.skips(position):
                    self.fold.position += 1
                    continue
                try:
                    self.fold.learn(x, y)
                except FoldError:
                    assert start == 0
                    self.skip.add(position)
                    self.fold = self.lineage.new(self.target)
                    break
            else:
                return self.snapshot()

    def snapshot(self) -> Snapshot:
        results = Prequential(self.target, 100)
        payload = dumps((self.fold.dumps(), results.state(), sorted(self.skip)))
        position = self.fold.position
        header = {"model": self.lineage.name, "digest": self.lineage.digest, "position": position, "offset": position}
        return Snapshot(header, payload)


def ticking(*took: float) -> Callable[[], float]:
    """A clock by which the calls take so many seconds, in turn."""

    def ticks() -> Iterator[float]:
        now = 0.0
        for call in count():
            yield now
            now += took[call % len(took)]
            yield now

    return ticks().__next__


def look(
    course: Course,
    older: Snapshot | None,
    newer: Snapshot,
    examples: list[Example],
    limits: Limits | None = None,
    clock: Callable[[], float] | None = None,
) -> Examination:
    clock = clock or ticking(1e-6)
    return examine(course.lineage, course.target, older, newer, examples, limits or Limits(), clock)


def test_a_good_model_passes() -> None:
    course = Course()
    older, newer = course.learn(rows(300)), course.learn(rows(1_000, start=300))
    found = look(course, older, newer, rows(1_000, start=300), Limits(latency=1.5, size=100_000))
    assert found.problems == []
    assert found.figures == {
        "from_position": 300.0,
        "to_position": 1_300.0,
        "compared": float(ROWS),
        "different": 0.0,
        "without_answer": 0.0,
        "improper": 0.0,
        "latency_p50": pytest.approx(1.0),
        "latency_p99": pytest.approx(1.0),
        "size": float(len(newer.payload)),
    }
    assert all(type(figure) is float for figure in found.figures.values())


def test_the_fold_may_begin_with_nothing_and_the_log_go_on() -> None:
    course = Course()
    newer = course.learn(rows(200))
    found = look(course, None, newer, rows(300))
    assert found.problems == []
    assert (found.figures["from_position"], found.figures["compared"]) == (0.0, 200.0)


def test_a_snapshot_of_other_examples_is_found_out() -> None:
    course = Course()
    older = course.learn(rows(100))
    newer = course.learn(rows(100, start=100))
    altered = [(not y if place == 50 else y, x) for place, (y, x) in enumerate(rows(100, start=100))]
    found = look(course, older, newer, altered)
    assert 0 < found.figures["different"] <= found.figures["compared"] == 100.0
    assert found.problems == problems_of(found.figures, Limits())
    assert "predictions otherwise" in found.problems[0]


def test_what_the_log_does_not_hold_is_found_out() -> None:
    course = Course(Model("random", Random))
    older, newer = course.learn(rows(100)), course.learn(rows(100, start=100))
    assert look(course, older, newer, rows(100, start=100)).figures["different"] > 0


def test_excluded_positions_are_passed_over() -> None:
    course = Course(excluded=((120, 150),))
    older, newer = course.learn(rows(100)), course.learn(rows(100, start=100))
    assert look(course, older, newer, rows(100, start=100)).problems == []


def test_the_fold_may_begin_with_a_lineage_that_agrees() -> None:
    course = Course(excluded=((120, 150),))
    course.learn(rows(100))
    newer = course.learn(rows(100, start=100))
    assert look(course, Course().learn(rows(100)), newer, rows(100, start=100)).problems == []
    assert look(course, Course().learn(rows(130)), newer, rows(70, start=130)).problems != []


def test_an_example_that_the_learner_could_not_learn_is_passed_over() -> None:
    course = Course(Model("refusing", Refusing))
    newer = course.learn(rows(100))
    assert course.skip
    assert look(course, None, newer, rows(100)).problems == []


def test_one_that_cannot_learn_again_what_it_had_learned_ends_it() -> None:
    course = Course(Model("refusing", Refusing))
    newer = course.learn(rows(20, start=1))
    found = look(course, None, newer, rows(20))
    assert found.figures == {}
    [problem] = found.problems
    assert problem.startswith("folded again from 0, it cannot learn what it had learned: ")
    assert "\n" not in problem


def test_a_log_that_is_too_short_ends_it() -> None:
    course = Course()
    newer = course.learn(rows(100))
    found = look(course, None, newer, rows(60))
    assert found == Examination({}, ["the log gave examples up to 60, and the snapshot has learned those up to 100"])


@pytest.mark.parametrize("which", ["older", "newer"])
def test_a_snapshot_that_holds_something_else_ends_it(which: str) -> None:
    course = Course()
    held = {"older": course.learn(rows(10)), "newer": course.learn(rows(10, start=10))}
    held[which] = Snapshot(held[which].header, b"junk")
    found = look(course, held["older"], held["newer"], rows(10, start=10))
    assert found.figures == {}
    assert len(found.problems) == 1


def test_a_snapshot_of_another_specification_ends_it() -> None:
    course = Course()
    other = Course(Model("lr", naive_bayes.GaussianNB)).learn(rows(10))
    found = look(course, None, other, rows(10))
    assert found.figures == {}
    assert course.lineage.digest in found.problems[0]
    assert other.header["digest"] in found.problems[0]


def test_nothing_learned_since_is_nothing_compared() -> None:
    course = Course()
    newer = course.learn(rows(10))
    found = look(course, newer, newer, rows(10, start=10))
    assert found.figures["compared"] == 0.0
    assert len(found.problems) == 1


def test_answers_that_are_missing_are_a_share() -> None:
    course = Course(Model("silent", Silent))
    newer = course.learn(rows(310))
    found = look(course, None, newer, rows(310))
    assert found.figures["without_answer"] == pytest.approx(20 / 31)
    assert found.problems == ["it has no answer for 65% of the rows; 50% at most may go without"]


def test_probabilities_that_are_none_are_counted() -> None:
    course = Course(Model("unsure", Unsure))
    newer = course.learn(rows(310))
    found = look(course, None, newer, rows(310))
    assert found.figures["improper"] == 100.0
    assert found.problems == ["100 of 310 answers have probabilities that do not add up to 1"]


def test_numbers_are_examined_as_well() -> None:
    course = Course(
        Model("linear", lambda: preprocessing.StandardScaler() | linear_model.LinearRegression()), Regression()
    )
    examples = [(x["temperature"] + float(y), x) for y, x in rows(200)]
    newer = course.learn(examples)
    found = look(course, None, newer, examples)
    assert found.problems == []
    assert (found.figures["compared"], found.figures["without_answer"]) == (200.0, 0.0)


def test_latency_is_by_the_given_clock() -> None:
    """Of a hundred calls two take long: the 99th percentile sees it, the median does not."""
    course = Course()
    newer = course.learn(rows(50))
    clock = ticking(*[5e-6] * 49, 900e-6)
    found = look(course, None, newer, rows(50), Limits(latency=100.0), clock)
    assert found.figures["latency_p50"] == pytest.approx(5.0)
    assert found.figures["latency_p99"] == pytest.approx(900.0)
    assert found.problems == ["a prediction takes 900 us (99th percentile); the limit is 100 us"]


def test_a_busy_moment_of_the_machine_is_not_the_models_fault() -> None:
    course = Course()
    newer = course.learn(rows(50))
    clock = ticking(*[900e-6] * 600, *[5e-6] * 100_000)
    assert look(course, None, newer, rows(50), Limits(latency=100.0), clock).problems == []


def test_the_size_is_that_of_the_payload() -> None:
    course = Course()
    newer = course.learn(rows(50))
    size = len(newer.payload)
    assert look(course, None, newer, rows(50), Limits(size=size)).problems == []
    assert look(course, None, newer, rows(50), Limits(size=size - 1)).problems == [
        f"its snapshot has {size} bytes; the limit is {size - 1}"
    ]


def test_the_examples_are_not_changed() -> None:
    course = Course()
    newer = course.learn(rows(50))
    examples = rows(50)
    look(course, None, newer, examples)
    assert examples == rows(50)
