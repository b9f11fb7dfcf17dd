"""What tasks print, in the cell that made them.

Theory of operation
-------------------
When a task is made its record remembers the header of the message that asked for the running cell (`_Echo.origin`).
What the task prints later comes to `_Echo.write`, in the client's thread; it is gathered by header, and sent from the
kernel's own IO thread as ``stream`` messages that answer that header, a few times a second at most. A front end puts
them into the cell that the header belongs to, whatever runs meanwhile; if that cell was run again, its new run has
another header, and the late text of the old run goes nowhere.

How much text comes at all is limited by `rain.client.echo`.

Without a kernel, in a terminal, Rain's own way of printing is left as it is.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from rain.client import echo, sites

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

    def origin(self) -> Any:
        """The header of the message that asked for what is being run.

        A thread that outlives its cell gets that of the present one, into which the kernel puts all that it prints.
        """
        parent = self._kernel.get_parent()
        return parent.get("header") if parent else None

    def write(self, record: Any, stream: str, text: str) -> None:
        """Text that the task of `record` printed; any thread."""
        header = record.origin
        if not header or not text:
            return
        with self._lock:
            self._waiting.setdefault((header["msg_id"], stream), (header, []))[1].append(text)
            if self._scheduled:
                return
            self._scheduled = True
        self._kernel.iopub_thread.schedule(self._flush_later)

    def cell_ends(self, *_: Any) -> None:
        """Send all before front ends hear that the cell has ended, after what it printed itself."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self.flush()

    def flush(self) -> None:
        """Send what was gathered."""
        with self._sending:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            for (_, name), (header, parts) in waiting.items():
                self._send(header, {"name": name, "text": "".join(parts)})

    def _flush_later(self) -> None:
        self._kernel.iopub_thread.io_loop.call_later(FLUSH_S, self._flush_now)

    def _flush_now(self) -> None:
        self._scheduled = False
        self.flush()

    def _send(self, header: Any, content: dict[str, str]) -> None:
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket,
            "stream",
            content,
            parent={"header": header},
            ident=f"stream.{content['name']}".encode(),  # the topic
        )


_installed: tuple[_Echo, Any, Any] | None = None  # ours, and the hooks that were there before


def install(shell: Any) -> None:
    """Send what tasks print to the cells of `shell`'s kernel; nothing where there is no kernel."""
    global _installed
    kernel = getattr(shell, "kernel", None)
    if kernel is None or _installed is not None:
        return
    found = _Echo(kernel)
    _installed = (found, sites.origin, echo.sink)
    sites.origin, echo.sink = found.origin, found.write
    shell.events.register("post_run_cell", found.cell_ends)


def remove(shell: Any) -> None:
    """Undo `install`."""
    global _installed
    if _installed is not None:
        found, sites.origin, echo.sink = _installed
        shell.events.unregister("post_run_cell", found.cell_ends)
        _installed = None
