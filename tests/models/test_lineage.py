"""Forks of a model: the same state where they agree, another one where they do not, and their names and digests say
which."""

from __future__ import annotations

import pytest
from support.tiny import tiny

from streamml.models import Lineage, digest_of, united

TOPOLOGY = tiny("forks")
LR, NB = TOPOLOGY.models
TARGET = TOPOLOGY.target


def rows(count: int) -> list[tuple[dict[str, float], bool]]:
    return [({"pressure": 1_000.0 + n % 7, "temperature": float(n % 31)}, n % 31 > 15) for n in range(count)]


def folded(lineage: Lineage, count: int) -> bytes:
    fold = lineage.new(TARGET)
    for position, (x, y) in enumerate(rows(count)):
        if lineage.skips(position):
            fold.position += 1
        else:
            fold.learn(x, y)
    assert fold.position == count
    return fold.dumps()


def test_a_root_is_its_model() -> None:
    root = Lineage.of(LR, TARGET)
    assert (root.name, root.digest, root.excluded) == ("lr", digest_of(LR, TARGET), ())


def test_a_fork_has_a_name_and_a_digest_of_its_own() -> None:
    root, fork = Lineage.of(LR, TARGET), Lineage.of(LR, TARGET, [(10, 20)], "lr~1")
    same, other = Lineage.of(LR, TARGET, [(15, 20), (10, 16)], "lr~2"), Lineage.of(LR, TARGET, [(10, 21)], "lr~3")
    assert fork.digest == same.digest, "only what is excluded counts"
    assert len({root.digest, fork.digest, other.digest}) == 3
    assert fork.new(TARGET).digest == fork.digest
    assert fork.new(TARGET).name == "lr~1"


def test_two_agree_up_to_where_they_part() -> None:
    root, fork = Lineage.of(LR, TARGET), Lineage.of(LR, TARGET, [(10, 20)], "lr~1")
    assert [p for p in range(30) if root.agrees(fork, p)] == list(range(11))
    assert [p for p in range(30) if fork.agrees(root, p)] == list(range(11))
    assert not root.agrees(Lineage.of(NB, TARGET), 0)
    longer = Lineage.of(LR, TARGET, [(10, 25)], "lr~2")
    assert [p for p in range(30) if fork.agrees(longer, p)] == list(range(21))


def test_where_they_agree_their_states_are_the_same_bytes() -> None:
    root, fork = Lineage.of(LR, TARGET), Lineage.of(LR, TARGET, [(10, 20)], "lr~1")
    assert folded(root, 10) == folded(fork, 10) == folded(fork, 20)
    assert folded(root, 11) != folded(fork, 11)
    begun = fork.loads(TARGET, folded(root, 10), 10)
    assert (begun.name, begun.digest, begun.position) == ("lr~1", fork.digest, 10)


def test_the_excluded_positions_of_a_span() -> None:
    fork = Lineage.of(LR, TARGET, [(3, 5), (8, 9)], "lr~1")
    assert fork.skipped(0, 100) == {3, 4, 8}
    assert fork.skipped(4, 8) == {4}
    assert fork.skipped(5, 8) == frozenset()
    assert [p for p in range(12) if fork.skips(p)] == [3, 4, 8]


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ([], ()),
        ([(5, 5)], ()),
        ([(1, 3), (3, 5)], ((1, 5),)),
        ([(4, 9), (1, 2), (1, 5)], ((1, 9),)),
        ([(1, 9), (2, 3)], ((1, 9),)),
        ([(6, 7), (1, 2)], ((1, 2), (6, 7))),
    ],
)
def test_ranges_are_drawn_together(given: list[tuple[int, int]], drawn: tuple[tuple[int, int], ...]) -> None:
    assert united(given) == drawn
