"""Places while they are waited for, shown in the cell that waits."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rain.client.places.progress import lines
from rain.deploy.pools.pool import Pool
from rain.notebook import displays
from rain.notebook.jupyter_quirks import is_headless, shell_with_kernel
from rain.notebook.places.widget import PoolsWidget
from rain.notebook.widget_base import pump


def shown(pool: Pool) -> AbstractContextManager[None]:
    """Shows a pool while this is entered, and leaves it there: boxes in a notebook, lines in a terminal."""
    shell = shell_with_kernel()
    return lines(pool) if shell is None else _boxes(pool, timed=not is_headless(shell.kernel))


@contextmanager
def _boxes(pool: Pool, timed: bool) -> Iterator[None]:
    display = _Display(pool, timed)
    advance = weakref.WeakMethod(display.advance)
    end = pool.watch(lambda: pump.wake(advance))
    try:
        yield
    finally:
        end()
        display.advance()


class _Display:
    """One output with a pool, which the kernel brings up to date as long as no browser shows the widget."""

    def __init__(self, pool: Pool, timed: bool) -> None:
        self._timed = timed
        self._id = uuid.uuid4().hex
        self._widget = PoolsWidget([pool])
        displays.show_widget(self._widget, self._id)

    def advance(self) -> None:
        if not self._widget.live.seen:
            # The pump's thread, and an interrupted cell, wait for no server.
            displays.update_widget(self._widget, self._id, self._widget.still(self._timed, asks=False))
