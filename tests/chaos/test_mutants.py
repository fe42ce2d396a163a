"""The planted defects: each still finds the place that it is planted in, and the table tells which were caught."""

from __future__ import annotations

import pytest
from chaos.mutants import MUTANTS
from chaos.schedule import KINDS
from chaos.trial import caught, table
from support.processes import running


@pytest.mark.parametrize("name", MUTANTS)
def test_a_defect_can_be_planted(name: str) -> None:
    with running("-c", f"from chaos.mutants import MUTANTS; MUTANTS[{name!r}].plant()") as process:
        assert process.end() == 0, process.lines


def test_each_is_brought_to_light_by_faults_that_there_are() -> None:
    assert len(MUTANTS) >= 5
    assert all(set(mutant.faults.split(",")) <= set(KINDS) for mutant in MUTANTS.values())


def test_a_defect_that_was_not_found_stands_out() -> None:
    lines = table({"disorder": ["predictions: 7 disordered"], "no-fencing": []})
    assert "| yes | predictions: 7 disordered |" in lines[2]
    assert "| NO | nothing |" in lines[3]


def test_only_its_own_trace_counts() -> None:
    assert caught({"disorder": ["predictions: 7 disordered"]})
    assert not caught({"disorder": ["not consumed after 45 s"]})
