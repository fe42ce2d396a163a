"""What must be equal for two processes to fold alike."""

from __future__ import annotations

import os
import subprocess
import sys

from streamml.snapshots import differences, environment

SHOW = "from streamml.snapshots import environment; print(environment()['hash_seed'])"


def hash_seed(**env: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env={**inherited, **env}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_environment_of_a_process_is_its_own() -> None:
    assert set(environment()) == {"python", "river", "numpy", "scipy", "platform", "hash_seed"}
    assert differences(environment(), environment()) == []


def test_a_pinned_hash_seed_is_equal_and_a_random_one_is_not() -> None:
    assert hash_seed(PYTHONHASHSEED="7") == "7"
    one, other = hash_seed(), hash_seed()
    assert one.startswith("random:")
    assert one != other


def test_an_unknown_environment_differs_in_everything() -> None:
    assert len(differences({}, environment())) == 5
