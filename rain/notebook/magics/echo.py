"""What tasks print, in the cell that made them.

Theory of operation
-------------------
When a task is made its record remembers the header of the message that asked for the cell it belongs to
(`_Echo.origin`). What the task prints later comes to `_Echo.write`, in the client's thread; it is gathered by header,
and sent from the kernel's own IO thread as ``stream`` messages that answer that header, a few times a second at most. A
front end puts them into the cell that the header belongs to, whatever runs meanwhile; if that cell was run again, its
new run has another header, and the late text of the old run goes nowhere.

A program that runs a notebook (nbclient, papermill, nbconvert) reads only what answers the cell that runs. There
everything goes to the running cell, whichever made the task; between two cells it is held, and the next one begins
with it.

How much text comes at all is limited by `rain.client.report.echo`.

Without a kernel, in a terminal, Rain's own way of printing is left as it is.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from rain.client.functions import call_sites
from rain.client.report import echo
from rain.common.limits import ECHO_HELD_CHARS_MAX
from rain.notebook import jupyter_quirks
from rain.notebook.said import said

FLUSH_S = 0.1
"""Text is sent that often at most."""


class _Echo:
    """Gathers text and sends it to the cells that it belongs to."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: dict[tuple[str, str], tuple[Any, list[str]]] = {}
        self._scheduled = False
        self._newest: Any = self._asked()
        self._running = True  # a cell: we are being installed in one
        self._depth = 1  # of cells that run cells
        self._held: list[tuple[str, str]] = []  # of a notebook that a program runs: stream and text
        self._held_chars = 0
        self._left_out = 0
        self._threads: weakref.WeakKeyDictionary[threading.Thread, Any] = weakref.WeakKeyDictionary()
        self._note_threads(None)
        self._remember(self._newest)

    # -- whose text it is -------------------------------------------------------------------------

    def origin(self) -> Any:
        """The header of the message that asked for the cell to which a task that is made now belongs.

        That is the cell that runs; of a context that was copied, the cell it comes from; of a thread, the cell that
        started it. The kernel itself knows of a thread only which cell is the newest.
        """
        if not jupyter_quirks.knows_cell_of_context(self._kernel):
            known = self._threads.get(threading.current_thread())
            if known:
                return known
        return self._asked()

    def _asked(self) -> Any:
        parent = self._kernel.get_parent()
        return parent.get("header") if parent else None

    def _note_threads(self, header: Any) -> None:
        """Threads that are new belong to the cell with this header.

        Those of a pool do not: what they do now may have been asked for by any cell, the newest one most likely.
        """
        for thread in threading.enumerate():
            if not jupyter_quirks.is_pool_thread(thread):
                self._threads.setdefault(thread, header)

    def cell_begins(self, *_: Any) -> None:
        """Text that was held is this cell's."""
        header = self._asked()
        if self._running and header == self._newest:
            self._depth += 1
            return
        self._note_threads(None)  # what was started since the last cell ended
        self._remember(header)
        with self._lock:
            self._newest, self._running, self._depth = header, True, 1
        self.flush()

    def _remember(self, header: Any) -> None:
        """The cell that runs, for pages that come back to it."""
        parent = self._kernel.get_parent() or {}
        code = parent.get("content", {}).get("code")
        if header and isinstance(code, str):
            said.cell(header["msg_id"], code)

    def cell_ends(self, result: Any = None) -> None:
        """Send all before front ends hear that the cell has ended, after what it printed itself."""
        header = self._asked()
        if header and result is not None and result.execution_count is not None:
            said.number(header["msg_id"], result.execution_count)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with self._lock:
            self._newest, self._running = self._asked(), True
        self.flush()
        self._depth -= 1
        if self._depth <= 0:  # IPython tells the end of an empty cell, though not its beginning
            self._note_threads(self._newest)
            with self._sending, self._lock:
                self._running = False

    # -- text -------------------------------------------------------------------------------------

    def write(self, record: Any, stream: str, text: str) -> None:
        """Text that the task of `record` printed; any thread."""
        if not text:
            return
        with self._lock:
            if jupyter_quirks.is_headless(self._kernel):
                self._hold(stream, text)
            else:
                header = record.origin or self._newest  # a task that an earlier client made is of no cell
                if not header:
                    return
                self._waiting.setdefault((header["msg_id"], stream), (header, []))[1].append(text)
                said.add(header["msg_id"], stream, text)
            if self._scheduled:
                return
            self._scheduled = True
        jupyter_quirks.schedule_on_io_thread(self._kernel, FLUSH_S, self._flush_now)

    def _hold(self, stream: str, text: str) -> None:
        """For the cell that runs, or the next one; of too much the end is kept."""
        self._held.append((stream, text))
        self._held_chars += len(text)
        while self._held_chars > ECHO_HELD_CHARS_MAX and len(self._held) > 1:
            _, first = self._held.pop(0)
            self._held_chars -= len(first)
            self._left_out += len(first)

    def flush(self) -> None:
        """Send what was gathered."""
        with self._sending:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                cell = self._newest if self._running else None
                if cell:
                    held, self._held, self._held_chars = self._held, [], 0
                    left_out, self._left_out = self._left_out, 0
                else:
                    held, left_out = [], 0
            for (_, name), (header, parts) in waiting.items():
                jupyter_quirks.send_stream(self._kernel, header, name, "".join(parts))
            if left_out:
                jupyter_quirks.send_stream(
                    self._kernel, cell, "stdout", f"… {left_out} characters left out: no cell was running\n"
                )
            for name in dict.fromkeys(name for name, _ in held):
                jupyter_quirks.send_stream(
                    self._kernel, cell, name, "".join(text for stream, text in held if stream == name)
                )

    def _flush_now(self) -> None:
        self._scheduled = False
        self.flush()


_installed: tuple[_Echo, Any, Any] | None = None  # ours, and the hooks that were there before


def install(shell: Any) -> None:
    """Send what tasks print to the cells of `shell`'s kernel; nothing where there is no kernel."""
    global _installed
    kernel = getattr(shell, "kernel", None)
    if kernel is None or _installed is not None:
        return
    found = _Echo(kernel)
    _installed = (found, call_sites.origin, echo.sink)
    call_sites.origin, echo.sink = found.origin, found.write
    shell.events.register("pre_run_cell", found.cell_begins)
    shell.events.register("post_run_cell", found.cell_ends)


def remove(shell: Any) -> None:
    """Undo `install`."""
    global _installed
    if _installed is not None:
        found, call_sites.origin, echo.sink = _installed
        shell.events.unregister("pre_run_cell", found.cell_begins)
        shell.events.unregister("post_run_cell", found.cell_ends)
        _installed = None
