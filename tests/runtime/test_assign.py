"""The assignment of units: balanced, complete, deterministic, and still."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from streamml.records import TopicPartition
from streamml.runtime.assign import Claim, UnitAssignor, assign_units, units_of

members = st.sampled_from("abcdefgh")
claims = st.dictionaries(
    members, st.builds(Claim, st.integers(0, 3), st.frozensets(st.integers(0, 19), max_size=12)), min_size=1
)


@given(st.integers(0, 16), claims)
def test_every_unit_has_one_owner_and_loads_differ_by_at_most_one(count: int, claims: dict[str, Claim]) -> None:
    shares = assign_units(range(count), claims)
    assert set(shares) == set(claims)
    assert sorted(unit for units in shares.values() for unit in units) == list(range(count))
    loads = [len(units) for units in shares.values()]
    assert max(loads) - min(loads) <= 1


@given(st.integers(0, 16), claims, st.randoms())
def test_the_order_in_which_members_are_listed_does_not_matter(count: int, claims: dict[str, Claim], dice) -> None:  # type: ignore[no-untyped-def]
    listed = list(claims.items())
    dice.shuffle(listed)
    assert assign_units(range(count), claims) == assign_units(range(count), dict(listed))


@given(st.integers(0, 16), st.lists(members, min_size=1, unique=True), st.data())
def test_nothing_moves_without_need(count: int, names: list[str], data: st.DataObject) -> None:
    before = assign_units(range(count), {name: Claim() for name in names})
    again = {name: Claim(1, frozenset(units)) for name, units in before.items()}
    assert assign_units(range(count), again) == before
    stays = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    joins = data.draw(st.lists(st.sampled_from("xyz"), unique=True))
    after = assign_units(range(count), {n: again[n] for n in stays} | {n: Claim() for n in joins})
    fewest, extras = divmod(count, len(after))
    must_go = sum(max(0, len(before[name]) - fewest) for name in stays)
    keeps_extra = min(extras, sum(len(before[name]) > fewest for name in stays))
    assert sum(len(set(before[name]) - set(after[name])) for name in stays) == must_go - keeps_extra


@given(claims)
def test_a_unit_claimed_twice_stays_with_the_later_round(claims: dict[str, Claim]) -> None:
    shares = assign_units([0], claims)
    claimants = {member: claim.round for member, claim in claims.items() if 0 in claim.units}
    if claimants:
        owner = next(member for member, units in shares.items() if units)
        assert owner == min(claimants, key=lambda member: (-claimants[member], member))


def test_a_unit_is_the_same_partition_of_every_input_that_has_it() -> None:
    assert units_of("partition", {"left": 2, "right": 3}) == {
        0: [TopicPartition("left", 0), TopicPartition("right", 0)],
        1: [TopicPartition("left", 1), TopicPartition("right", 1)],
        2: [TopicPartition("right", 2)],
    }
    assert units_of("whole", {"b": 1, "a": 2}) == {
        0: [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
    }


def cluster(**topics: int) -> SimpleNamespace:
    return SimpleNamespace(partitions_for_topic=lambda topic: set(range(topics[topic])) if topic in topics else None)


def test_what_was_assigned_is_remembered_on_the_wire() -> None:
    one, two = UnitAssignor("partition"), UnitAssignor("partition")
    for _ in range(3):
        given_ = one.assign(
            cluster(left=4, right=4), {"m2": two.metadata(["left", "right"]), "m1": one.metadata(["right", "left"])}
        )
        one.on_assignment(type(given_["m1"]).decode(given_["m1"].encode()))
        two.on_assignment(type(given_["m2"]).decode(given_["m2"].encode()))
        assert Counter(tp.topic for tp in given_["m1"].partitions()) == {"left": 2, "right": 2}
        assert {tp.partition for tp in given_["m1"].partitions()} == {0, 1}


def test_while_inputs_are_added_only_those_that_know_them_work() -> None:
    old, new = UnitAssignor("whole"), UnitAssignor("whole")
    shares = new.assign(cluster(a=1, b=1), {"old": old.metadata(["a"]), "new": new.metadata(["a", "b"])})
    assert shares["old"].partitions() == []
    assert [tuple(tp) for tp in shares["new"].partitions()] == [("a", 0), ("b", 0)]


def test_metadata_of_another_kind_is_no_claim() -> None:
    assignor = UnitAssignor("whole")
    foreign = assignor.metadata(["a"])
    foreign.user_data = b"\x00\x01"
    assert assignor.assign(cluster(a=1), {"m": foreign})["m"].partitions()
