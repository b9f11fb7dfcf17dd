"""A program that was started, and is killed with all that it started, but never another that has its number now."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from rain.common.limits import LAUNCH_OUTPUT_S
from rain.host.process_table import family
from rain.host.signals import signal_all

_PIECE_BYTES = 1 << 16
_HELD_OPEN = (
    f"a process that the program has left running holds its output open: what that writes later than "
    f"LAUNCH_OUTPUT_S ({LAUNCH_OUTPUT_S:g} s) after the program's end is not shown\n"
).encode()


class Started:
    """A running program, whose output is passed on.

    Parameters
    ----------
    args : sequence of str
    env : mapping of str to str
        All of its variables.
    write : callable
        Takes 1 or 2 (stdout, stderr) and bytes; in threads of its own, one for each.

    Raises
    ------
    OSError, ValueError
        If it cannot be started.
    """

    def __init__(self, args: Sequence[str], env: Mapping[str, str], write: Callable[[int, bytes], None]) -> None:
        self._over = os.eventfd(0)
        try:
            self._process = subprocess.Popen(
                list(args), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except BaseException:
            os.close(self._over)
            raise
        self._reaping = threading.Lock()
        self._write = write
        self._pumps = []
        for number, stream in ((1, self._process.stdout), (2, self._process.stderr)):
            assert stream is not None
            pump = threading.Thread(target=_pump, args=(stream, number, write, self._over), daemon=True)
            pump.start()
            self._pumps.append(pump)

    def wait(self) -> int:
        """Its exit status, negative for a signal, when all that it wrote was passed on.

        What it has started and left running may hold its output open: what that writes is passed on for
        LAUNCH_OUTPUT_S, and then stderr says so.
        """
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:  # from here on its number may be another's
            status = self._process.wait()
        deadline = time.monotonic() + LAUNCH_OUTPUT_S
        for pump in self._pumps:
            pump.join(max(0.0, deadline - time.monotonic()))
        if any(pump.is_alive() for pump in self._pumps):
            os.eventfd_write(self._over, 1)
            for pump in self._pumps:
                pump.join()
            self._write(2, _HELD_OPEN)
        os.close(self._over)
        return status

    def kill(self) -> None:
        """Kill it and all that it started, unless it has ended."""
        with self._reaping:
            if self._process.returncode is None:
                signal_all(family(self._process.pid), signal.SIGKILL)


def _pump(stream: IO[bytes], number: int, write: Callable[[int, bytes], None], over: int) -> None:
    """Pass on what comes until its end, or, from when `over` can be read, what is there by then."""
    with stream:
        source = stream.fileno()
        watched = select.poll()
        for descriptor in (source, over):
            watched.register(descriptor, select.POLLIN)
        while over not in dict(watched.poll()):
            piece = os.read(source, _PIECE_BYTES)
            if not piece:
                return
            write(number, piece)
        left = fcntl.fcntl(source, fcntl.F_GETPIPE_SZ)  # what still writes may never stop
        os.set_blocking(source, False)
        try:
            while left > 0 and (piece := os.read(source, min(left, _PIECE_BYTES))):
                left -= len(piece)
                write(number, piece)
        except BlockingIOError:
            pass
