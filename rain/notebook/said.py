"""What tasks have printed into cells, for pages that were not open at that time; pure but for its lock."""

from __future__ import annotations

import threading
from collections import OrderedDict

from rain.common.limits import SAID_CELLS_MAX, SAID_CHARS_MAX, SAID_CODE_CHARS_MAX
from rain.notebook.protocol.missed import CellText, Missed


class _Cell:
    """One run of a cell, and what its tasks printed: pieces of stdout and stderr in their order."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.count = 0
        self.parts: list[tuple[str, str]] = []
        self.chars = 0

    def add(self, stream: str, text: str) -> None:
        self.parts.append((stream, text))
        self.chars += len(text)
        while self.chars > SAID_CHARS_MAX and len(self.parts) > 1:
            self.chars -= len(self.parts.pop(0)[1])


class Said:
    """What tasks have printed, by the message that asked for their cell.

    Examples
    --------
    >>> said = Said()
    >>> said.cell("m1", "f(1)")
    >>> said.number("m1", 3)
    >>> said.add("m1", "stdout", "hello\\n")
    >>> said.add("m2", "stdout", "of no cell\\n")
    >>> [(cell.count, cell.parts) for cell in said.told().cells]
    [(3, [('stdout', 'hello\\n')])]
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: OrderedDict[str, _Cell] = OrderedDict()

    def cell(self, message: str, code: str) -> None:
        """A cell begins to run; `message` is the id of the one that asked for it."""
        if len(code) > SAID_CODE_CHARS_MAX:
            return
        with self._lock:
            self._cells.setdefault(message, _Cell(code))
            while len(self._cells) > SAID_CELLS_MAX:
                self._cells.popitem(last=False)

    def number(self, message: str, count: int) -> None:
        """A cell has ended, with this number in its brackets; what IPython says before depends on its version."""
        with self._lock:
            if message in self._cells:
                self._cells[message].count = count

    def add(self, message: str, stream: str, text: str) -> None:
        """A task of that cell printed `text`."""
        with self._lock:
            found = self._cells.get(message)
            if found is not None:
                found.add(stream, text)

    def told(self) -> Missed:
        """All that is remembered."""
        with self._lock:
            return Missed(
                True, [CellText(one.code, one.count, list(one.parts)) for one in self._cells.values() if one.parts]
            )


said = Said()
"""Of this kernel."""
