"""Checks of all changes of states in a process, for the tests of Rain; they are on if `VARIABLE` names a file.

A change that its table lacks then raises an error (`rain.common.state_tables.watch`), and each arrow that is taken is
appended to the file, as a line with the names of its table and its two states.
"""

from __future__ import annotations

import os

from rain.common.state_tables import watch

VARIABLE = "RAIN_STATE_CHECKS"


def check_states() -> None:
    """Check from now on, if the environment says so.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = os.environ.get(VARIABLE)
    if path:
        # Held open: a core that changes a state may not open files while a simulator watches it.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        watch(lambda *arrow: _note(file, arrow))


def _note(file: int, arrow: tuple[str, ...]) -> None:
    os.write(file, (" ".join(arrow) + "\n").encode())
