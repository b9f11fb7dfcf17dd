"""A program that was started, and is killed with all that it started, but never another that has its number now."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from rain.host.process_table import family
from rain.host.signals import signal_all

_PIECE_BYTES = 1 << 16


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
        self._process = subprocess.Popen(
            list(args), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._reaping = threading.Lock()
        self._pumps = []
        for number, stream in ((1, self._process.stdout), (2, self._process.stderr)):
            assert stream is not None
            pump = threading.Thread(target=_pump, args=(stream, number, write), daemon=True)
            pump.start()
            self._pumps.append(pump)

    def wait(self) -> int:
        """Its exit status, negative for a signal, when all that it wrote was passed on."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:  # from here on its number may be another's
            status = self._process.wait()
        for pump in self._pumps:
            pump.join()
        return status

    def kill(self) -> None:
        """Kill it and all that it started, unless it has ended."""
        with self._reaping:
            if self._process.returncode is None:
                signal_all(family(self._process.pid), signal.SIGKILL)


def _pump(stream: IO[bytes], number: int, write: Callable[[int, bytes], None]) -> None:
    with stream:
        while piece := os.read(stream.fileno(), _PIECE_BYTES):
            write(number, piece)
