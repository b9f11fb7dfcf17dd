"""`HeldGovernor`: a governor as the child of a process of another framework, which it never outlives.

Theory of operation
-------------------
The other framework's process (a Dask worker, a Ray actor) holds the writing end of the governor's standard input.
However that process ends, the kernel closes it and the governor ends: what such a framework does about children of its
processes, mostly nothing, does not matter. The token comes in by the same pipe; it arrives sealed (`rain.net.sealing`)
and is in the clear in the memory of these two processes only.
"""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from rain.common.errors import RainException
from rain.common.limits import FRAMEWORK_BEGIN_S, FRAMEWORK_END_S
from rain.host.gpus import visible_gpus
from rain.host.signals import LEFT_STATUS, kill_tree, signal_name
from rain.host.starting import spawn
from rain.net.sealing import Receiver
from rain.processes.launching import RAIN

_TAIL_LINES = 8
_LINE_BYTES_MAX = 4096
_OUTPUT_S = 0.5


class HeldState(NamedTuple):
    """What is known of a held governor; crosses between processes as a plain tuple.

    Attributes
    ----------
    ended : bool
        Whether it has ended.
    word : str
        How, if so.
    governor : str
        Its id, ``host:port``; empty as long as it has not registered.
    printed : str
        The last lines that it printed.
    """

    ended: bool
    word: str
    governor: str
    printed: str


class HeldGovernor:
    """A governor that this process holds.

    Attributes
    ----------
    public : bytes
        For which its token is to be sealed.

    Examples
    --------
    ::

        held = HeldGovernor()
        # … held.public goes to the client, which answers with sealed(token, held.public)
        held.begin(token, "10.0.0.1:7210", ["--cpus", "4"])
        held.state()
        held.end(within_s=20)
    """

    def __init__(self) -> None:
        self._receiver = Receiver()
        self.public = self._receiver.public
        self._made_at = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = -1
        self._told = ""
        self._lines: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._over = threading.Event()
        self._end_lock = threading.Lock()

    def begin(self, sealed_token: bytes, server: str, options: Sequence[str]) -> None:
        """Start it.

        Parameters
        ----------
        sealed_token : bytes
        server : str
            ``host:port``.
        options : sequence of str
            Further words of ``rain governor``.

        Raises
        ------
        RainException
            If the token was not sealed for this process, or no process can be started.
        """
        token = self._receiver.unsealed(sealed_token)
        self._ready, ready = os.pipe()
        os.set_blocking(self._ready, False)
        words = [*RAIN, "governor", server, "--token-file", "-", "--id-file", f"fd:{ready}", *options]
        try:
            process = spawn(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, keep=[ready]
            )
        except BaseException:
            os.close(self._ready)
            raise
        finally:
            os.close(ready)
        self._process = process
        reader = threading.Thread(target=self._read, args=(process,), name="rain-held-output", daemon=True)
        reader.start()
        watcher = threading.Thread(target=self._watch, args=(process, reader), name="rain-held-governor", daemon=True)
        watcher.start()
        assert process.stdin is not None
        try:
            process.stdin.write(token.encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and printed why

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            while line := output.readline(_LINE_BYTES_MAX):
                self._lines.append(line.decode(errors="replace").rstrip())

    def _watch(self, process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
        process.wait()
        reader.join(_OUTPUT_S)  # what it started may hold its output open
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its client has left it without a token for too long: another may take its place."""
        return self._over.is_set() or (self._process is None and time.monotonic() - self._made_at > FRAMEWORK_BEGIN_S)

    def state(self) -> HeldState:
        """What is known of it."""
        process = self._process
        if process is None:
            return HeldState(self._over.is_set(), "NOT BEGUN" if self._over.is_set() else "", "", "")
        ended = self._over.is_set()
        governor = self._heard().strip()
        return HeldState(ended, _word(process.returncode) if ended else "", governor, "\n".join(self._lines))

    def _heard(self) -> str:
        try:
            while data := os.read(self._ready, _LINE_BYTES_MAX):
                self._told += data.decode(errors="replace")
        except OSError:  # nothing yet, or closed
            pass
        return self._told

    def wait(self) -> None:
        """Return when it has ended."""
        self._over.wait()

    def leave(self) -> None:
        """Tell it to leave: it finishes what it runs, hands over what it holds, and ends."""
        process = self._process
        if process is None:
            self._over.set()
        elif not self._over.is_set():
            process.send_signal(signal.SIGTERM)

    def end(self, within_s: float) -> None:
        """Have it leave, and end it when it has not within `within_s` seconds; return when nothing of it is left."""
        with self._end_lock:
            process = self._process
            self.leave()
            if process is None or self._ready < 0:
                return
            if not self._over.wait(within_s):
                self._drop_lifeline(process)
                if not self._over.wait(FRAMEWORK_END_S):
                    kill_tree(process.pid)
                    self._over.wait(FRAMEWORK_END_S)  # what the kernel cannot end just now must not hold the worker
            self._heard()
            self._drop_lifeline(process)
            ready, self._ready = self._ready, -1
            os.close(ready)

    @staticmethod
    def _drop_lifeline(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass


def first_gpus(count: int) -> str:
    """The first `count` GPUs that this process sees, as ``--gpus`` takes them.

    Raises
    ------
    RainException
        If there are fewer.
    """
    names = visible_gpus().names if count else ()
    if len(names) < count:
        raise RainException(f"{count} GPUs were asked for, this process sees {len(names)}")
    return ",".join(names[:count])


def _word(status: int | None) -> str:
    """How a process ended, in words.

    Examples
    --------
    >>> _word(0), _word(1), _word(-9)
    ('COMPLETED', 'exit status 1', 'SIGKILL')
    """
    if status is None or status == 0:
        return "COMPLETED"
    if status == LEFT_STATUS:
        return "LEFT"
    return signal_name(-status) if status < 0 else f"exit status {status}"
