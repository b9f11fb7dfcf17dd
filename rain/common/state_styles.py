"""How states look wherever a graph is drawn: one table for pictures, the notebook and DOT.

A state is never told by colour alone: each has a mark too.
"""

from __future__ import annotations

import msgspec


class Look(msgspec.Struct, frozen=True):
    """How a task or an object in some state is drawn.

    Attributes
    ----------
    word : str
        For legends.
    mark : str
        One character.
    fill, line : str
        Colours (``#rrggbb``) on a light ground.
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

LOOKS: dict[str, Look] = {
    NEW: Look("not submitted", "·", "#ffffff", "#90a4ae", "#1e1e1e", "#78909c"),
    "waiting": Look("waiting", "…", "#eceff1", "#78909c", "#37474f", "#90a4ae"),
    "unfinished": Look("not there yet", "…", "#eceff1", "#78909c", "#37474f", "#90a4ae"),
    "ready": Look("ready", "◔", "#fff3c4", "#c79100", "#5d4a0a", "#ffd54f"),
    "running": Look("running", "▶", "#bbdefb", "#1565c0", "#0d3c6e", "#64b5f6"),
    "finished": Look("finished", "✓", "#c8e6c9", "#2e7d32", "#1b4a20", "#81c784"),
    "removed": Look("no longer held", "∅", "#f5f5f5", "#9e9e9e", "#2b2b2b", "#757575"),
    "failed": Look("failed", "✗", "#ffcdd2", "#c62828", "#6d1b1b", "#ef9a9a"),
    "cancelled": Look("cancelled", "⊘", "#e1bee7", "#7b1fa2", "#4a1a5e", "#ce93d8"),
}
"""By the value of `TaskState` or `DataObjectState`, or `NEW`."""

SEVERITY = ("failed", "running", "ready", "waiting", "new", "cancelled", "finished")
"""Which state a group of tasks is said to be in: the first of these that one of them is in."""
