"""What tasks printed while no page was open."""

from __future__ import annotations

import msgspec


class CellText(msgspec.Struct, frozen=True):
    """What the tasks of one run of a cell have printed, up to now.

    Attributes
    ----------
    code : str
        The cell's text when it was run.
    count : int
        The number in its brackets; 0 while it runs.
    parts : list of (str, str)
        ``"stdout"`` or ``"stderr"``, and what was printed.
    """

    code: str
    count: int
    parts: list[tuple[str, str]]


class Missed(msgspec.Struct, frozen=True):
    """What tasks have printed into which cells.

    Attributes
    ----------
    again : bool
        Whether another page had the widget before; else there is nothing to be told.
    cells : list of CellText
    """

    again: bool
    cells: list[CellText]
