"""What a model's state depends on beside the log. Law: processes with equal environments fold alike."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version


@cache
def environment() -> dict[str, str]:
    """The versions of Python, River, numpy and scipy, the platform (`linux-x86_64`) and the hash seed of this process.

    Without PYTHONHASHSEED the hash seed is random, and its fingerprint stands in for it: equal in this process alone.
    """
    seed = os.environ.get("PYTHONHASHSEED", "random")
    return {
        "python": platform.python_version(),
        "river": version("river"),
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
        "hash_seed": seed if seed.isdigit() else f"random:{hash('streamml') & 0xFFFFFFFF:08x}",
    }


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """What makes state of the environment `theirs` unusable in `ours`, such as `river 0.25.0 is not 0.26.1`.

    Python counts by its minor version. scipy is recorded only: no model's state is computed by it.
    """
    found = []
    for name in ("python", "river", "numpy", "platform", "hash_seed"):
        their, our = theirs.get(name, "unknown"), ours[name]
        if name == "python":
            their, our = _minor(their), _minor(our)
        if their != our:
            found.append(f"{name.replace('_', ' ')} {their} is not {our}")
    return found


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
