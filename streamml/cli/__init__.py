"""The command line. Law: a person's mistake is one line and exit code 1; every process hashes strings alike.

`main` imports nothing heavy before the hash seed is settled, since settling it starts the interpreter anew.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT."""


def main() -> None:
    """Run the command in `sys.argv`; ends the process.

    Exit codes: 0 done, 1 a StreammlError (one line on stderr) or a failed check, 2 a command used wrongly, 130 Ctrl-C.
    """
    try:
        _pin_hash_seed()
        from streamml.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _pin_hash_seed() -> None:
    """Models depend on the order of sets of strings to the last bit; only a new interpreter takes another hash seed."""
    pinned = os.environ.get("PYTHONHASHSEED") == "0"
    if pinned and not sys.flags.hash_randomization:
        return
    if pinned:
        sys.exit("error: Python ignores PYTHONHASHSEED, so models would not be reproducible: start it without -E or -I")
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": "0"})
