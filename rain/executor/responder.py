"""The thread that keeps an executor answering while user code runs.

Theory of operation
-------------------
The main thread reads the socket itself when it has nothing to run, so that a task starts with no hand-over between
threads. This thread looks now and then (every `RESULT_HOLD_S`) at what the main thread does. While tasks are short it
does nothing more. When it sees the same task twice it takes over: it sends the results that are held, once they have
been for as long as they may, and waits for the governor's messages: recalls, interrupts, or the end of file that means
that the governor is gone. When the main thread has been idle for a while this one sleeps until it is woken, so that an
idle executor uses no processor time.

It costs the main thread one comparison per batch of tasks.
"""

from __future__ import annotations

import contextlib
import select
import signal
import threading
import time
from collections.abc import Callable

from rain.common.limits import RESULT_HOLD_S
from rain.executor.governor_connection import GovernorConnection

_LISTEN_S = 0.05
_IDLE_ROUNDS_MAX = 50


class Responder(threading.Thread):
    """See the module's text.

    Parameters
    ----------
    connection : GovernorConnection
    chores : sequence of callables
        Called now and then while a task takes long.

    Attributes
    ----------
    number : int
        Number of the task that the main thread runs; 0 between tasks. The main thread sets it.
    """

    def __init__(self, connection: GovernorConnection, chores: tuple[Callable[[], None], ...]) -> None:
        super().__init__(name="rain-responder", daemon=True)
        self.number = 0
        self._connection = connection
        self._chores = chores
        self._busy = False
        self._parked = False
        self._woken = threading.Event()

    def begin(self) -> None:
        """The main thread has got something to do."""
        self._busy = True
        if self._parked:
            self._woken.set()

    def end(self) -> None:
        """The main thread waits for the governor."""
        self._busy = False

    def run(self) -> None:
        # Signals are for the main thread: only there do they interrupt a system call of user code.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        seen, idle_rounds = 0, 0
        while True:
            number = self.number
            if number and number == seen:
                wait_s = self._connection.hold_left()
                if wait_s <= 0:
                    self._connection.flush()
                    wait_s = _LISTEN_S
                if poll.poll(wait_s * 1000) and self.number == number:
                    self._connection.receive_now()
                if wait_s == _LISTEN_S:
                    self._do_chores()
                continue
            seen = number
            idle_rounds = 0 if self._busy else idle_rounds + 1
            if idle_rounds > _IDLE_ROUNDS_MAX:
                self._park()
                idle_rounds = 0
            time.sleep(RESULT_HOLD_S)

    def _park(self) -> None:
        self._woken.clear()
        self._parked = True
        # The main thread sets `_busy` before it looks at `_parked`: one of the two sees the other.
        if not self._busy:
            self._do_chores()
            self._woken.wait()
        self._parked = False

    def _do_chores(self) -> None:
        for chore in self._chores:
            # Without this thread nothing would hear the governor; and the only log here is the task's own stderr.
            with contextlib.suppress(Exception):
                chore()
