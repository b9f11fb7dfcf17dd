"""`Spiller`: moves objects from memory files to disk, in a thread of its own."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable

from rain.common.location import LocalFile
from rain.objects import dirtree
from rain.objects.files import copy_checked
from rain.objects.held import Held
from rain.objects.store import Entry

log = logging.getLogger("rain.objects.spiller")


class Spiller:
    """Calls `spill` for one entry after the other.

    Parameters
    ----------
    spill : callable
        ``spill(entry)``, in the spiller's thread.
    """

    def __init__(self, spill: Callable[[Entry], None]) -> None:
        self._spill = spill
        self._asked: queue.SimpleQueue[Entry | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, entries: Iterable[Entry]) -> None:
        """Spill these, after those that were asked for before."""
        for entry in entries:
            self._asked.put(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rain-spill", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Block until all that was asked for is done."""
        if self._thread is not None:
            done = threading.Event()
            self._asked.put(done)
            done.wait()

    def close(self) -> None:
        """Finish what was asked for, and end."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._asked.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._spill(item)
            except Exception:
                log.exception("spilling %s failed", item.held.location)
                item.spilling = False


def copy_to_disk(held: Held, part: str, target: str) -> str:
    """Copy a memory file or directory to the new path `target`, by way of `part` on the same file system.

    Returns
    -------
    str
        What is wrong with what was copied; empty if nothing is.

    Raises
    ------
    RainException
        If the disk is full, or the file is not what was stored (`StaleFile`); nothing is left then.
    OSError
    """
    old = held.location
    assert isinstance(old, LocalFile)
    problem = ""
    try:
        if held.is_dir:
            dirtree.copy_tree(old.path, part)
            dirtree.own_tree(part)
        else:
            found = copy_checked(old, part)
            os.chmod(part, os.stat(old.path).st_mode & 0o777)
            if old.checksum not in (None, found):
                problem = f"its file {old.path} was damaged (the checksum differs)"
        # Executors that were told of the old file know the new one by its time.
        os.utime(part, ns=(old.mtime_ns, old.mtime_ns))
        os.rename(part, target)
    except BaseException:
        dirtree.remove_any(part)
        raise
    return problem
