"""What users are shown of states, and how: one table for pictures, the notebook, texts and DOT.

A state is never told by colour alone: each has a mark too. What is shown is finer than `TaskState` and
`DataObjectState`: a task that failed only because another one did was **not run**, and what a task that came to nothing
should have made was **not made**.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rain.common.spec import TaskError
from rain.common.states import DataObjectState, TaskState


class Look(msgspec.Struct, frozen=True):
    """How a task or an object in some state is drawn.

    Attributes
    ----------
    word : str
        For legends.
    mark : str
        One character.
    fill, line : str
        Colours (``#rrggbb``) on a light ground; marks in the colour of lines can be read on the fill.
    dark_fill, dark_line : str
        The same on a dark ground.
    """

    word: str
    mark: str
    fill: str
    line: str
    dark_fill: str
    dark_line: str


NEW = "new"
"""The name here of what was not submitted, whose state is None."""
NOT_RUN = "not run"
"""The name here of a task that failed because one that it needs did."""
NOT_MADE = "not made"
"""The name here of an object whose task did not finish, and will not."""

LOOKS: dict[str, Look] = {
    NEW: Look("not submitted", "·", "#ffffff", "#68767d", "#1e1e1e", "#78909c"),
    "waiting": Look("waiting", "…", "#eceff1", "#5b6d77", "#37474f", "#a6b6be"),
    "unfinished": Look("not there yet", "…", "#eceff1", "#5b6d77", "#37474f", "#a6b6be"),
    "ready": Look("ready", "◔", "#fff3c4", "#8d6700", "#5d4a0a", "#ffd54f"),
    "running": Look("running", "▶", "#bbdefb", "#135db1", "#0d3c6e", "#64b5f6"),
    "finished": Look("finished", "✓", "#c8e6c9", "#286e2c", "#1b4a20", "#81c784"),
    "removed": Look("no longer held", "∅", "#f5f5f5", "#6f6f6f", "#2b2b2b", "#939393"),
    "failed": Look("failed", "✗", "#ffcdd2", "#b42424", "#6d1b1b", "#ef9a9a"),
    NOT_RUN: Look("not run", "\u2013", "#e0e0e0", "#616161", "#424242", "#bdbdbd"),
    NOT_MADE: Look("not made", "\u2013", "#e0e0e0", "#616161", "#424242", "#bdbdbd"),
    "cancelled": Look("cancelled", "⊘", "#e1bee7", "#7b1fa2", "#4a1a5e", "#ce93d8"),
}
"""By what is shown of a state: see `shown_task` and `shown_object`."""

PLACES: dict[str, Look] = {
    "asked": Look("asked", "·", "#ffffff", "#68767d", "#1e1e1e", "#78909c"),
    "pending": Look("pending", "…", "#eceff1", "#5b6d77", "#37474f", "#a6b6be"),
    "starting": Look("starting", "◔", "#fff3c4", "#8d6700", "#5d4a0a", "#ffd54f"),
    "up": Look("up", "●", "#bbdefb", "#135db1", "#0d3c6e", "#64b5f6"),
    "draining": Look("draining", "↘", "#e1bee7", "#7b1fa2", "#4a1a5e", "#ce93d8"),
    "given up": Look("given up", "⊘", "#e0e0e0", "#616161", "#424242", "#bdbdbd"),
    "never up": Look("never came up", "✗", "#ffcdd2", "#b42424", "#6d1b1b", "#ef9a9a"),
    "ended": Look("ended", "■", "#f5f5f5", "#6f6f6f", "#2b2b2b", "#939393"),
}
"""Of places on engines, by what is shown of them: see `rain.notebook.places.boxes`."""

SEVERITY = ("failed", "running", "ready", "waiting", NEW, NOT_RUN, "cancelled", "finished")
"""Which state a group of tasks is said to be in: the first of these that one of them is in."""
SETTLED = frozenset(("finished", "failed", NOT_RUN, "cancelled"))
"""In these a task no longer moves by itself."""
ENDS = ("failed", NOT_RUN, "cancelled")
"""How tasks end that do not finish, in the order in which they are told."""

_TASKS: dict[TaskState | None, str] = {None: NEW, **{state: state.value for state in TaskState}}
_OBJECTS: dict[DataObjectState | None, str] = {
    None: NEW,
    **{state: state.value for state in DataObjectState},
    DataObjectState.FAILED: NOT_MADE,
}
_FAILED = TaskState.FAILED


def shown_task(state: TaskState | None, error: TaskError | None) -> str:
    """What is shown of a task's state.

    Parameters
    ----------
    state : TaskState or None
    error : TaskError or None
        Why it failed.

    Returns
    -------
    str
        A key of `LOOKS`.

    Examples
    --------
    >>> from rain.common.ids import ID
    >>> shown_task(TaskState.FAILED, TaskError("exception", "ZeroDivisionError"))
    'failed'
    >>> shown_task(TaskState.FAILED, TaskError("dependency", "because of 1/2", cause=ID(1, 2)))
    'not run'
    """
    if state is _FAILED and error is not None and error.cause is not None:
        return NOT_RUN
    return _TASKS[state]


def shown_object(state: DataObjectState | None) -> str:
    """What is shown of an object's state: a key of `LOOKS`."""
    return _OBJECTS[state]


def ends_text(shown: Iterable[str]) -> str:
    """How many tasks came to which end other than being finished.

    Parameters
    ----------
    shown : iterable of str
        Of each task, as of `shown_task`; others than `ENDS` are not counted.

    Examples
    --------
    >>> ends_text(["cancelled", "failed", "not run", "finished", "not run"])
    '1 failed, 2 not run, 1 cancelled'
    """
    counts = dict.fromkeys(ENDS, 0)
    for one in shown:
        if one in counts:
            counts[one] += 1
    return ", ".join(f"{count} {end}" for end, count in counts.items() if count)
