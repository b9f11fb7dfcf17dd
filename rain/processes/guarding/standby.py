"""The guardian's standby: a process above it that takes its place should it be killed.

Theory of operation
-------------------
Only an ancestor can inherit the children of a process that dies, and learn how they end. So the process that is
started as a guardian forks the one that guards, and becomes the subreaper of all below that. It has the same
descriptors: lifelines, listening sockets, the lock of the folder; and is told (`Line`) what else it would need,
together with the pipes that were made later. When the guardian is killed, the processes below have a new parent and
nothing else has changed: the standby takes what it was told last, and guards. It passes signals on, and ends with the
guardian where that ends by itself. A guardian whose standby is killed guards on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from rain.host.signals import signal_name, unblock_signals
from rain.host.starting import become_subreaper

if TYPE_CHECKING:
    from rain.processes.guardian import Guardian

_TOLD_BYTES_MAX = 1 << 20
_DESCRIPTORS_MAX = 250
"""What the kernel passes on with one message is a little more."""
NAME = "rain-standby"


class Line:
    """On which a guardian tells its standby what that has to know.

    Parameters
    ----------
    end : socket.socket
        Keeps the bounds of messages.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._last = b""
        end.setblocking(False)

    def fileno(self) -> int:
        """Its descriptor, which can be read when the standby is gone."""
        return self._end.fileno()

    def tell(self, told: dict[str, Any], descriptors: list[int]) -> None:
        """Tell it, if it is something new."""
        data = json.dumps([os.getpid(), told]).encode()
        if data == self._last:
            return
        try:
            socket.send_fds(self._end, [data], descriptors[:_DESCRIPTORS_MAX])
            self._last = data
        except OSError:
            pass  # it stands still, and gets the next one; or is gone, which is noticed

    def close(self) -> None:
        """Let go of it."""
        self._end.close()


def guard(guardian: Guardian) -> NoReturn:
    """Fork the process that is the guardian, and be its standby; then end as it did, or guard in its place."""
    become_subreaper()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        end_after(lambda: guardian.run(Line(theirs)))
    theirs.close()
    with open("/proc/self/comm", "w") as comm:
        comm.write(NAME)
    status, told, descriptors = _Watch(pid, ours).wait()
    if not os.WIFSIGNALED(status):
        os._exit(os.waitstatus_to_exitcode(status))
    with open("/proc/self/comm", "w") as comm:
        comm.write("rain-guardian")
    how = signal_name(os.WTERMSIG(status))
    sys.stderr.write(
        f"{time.strftime('%Y-%m-%d %H:%M:%S')} guardian: process {pid}, which guarded, was killed by {how}; its "
        f"standby, process {os.getpid()}, guards from now on. Should that be killed too, all ends\n"
    )
    guardian.take_over(told, descriptors)
    end_after(guardian.run)


def end_after(run: Callable[[], object]) -> NoReturn:
    """What a process that was forked does, and its end; an error is printed."""
    status = 1
    try:
        run()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


class _Watch:
    """Watches the guardian, and remembers what it tells."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self._pid = pid
        self._line = line
        self._told: dict[str, Any] = {}
        self._descriptors: list[int] = []
        unblock_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)

    def _pass_on(self, number: int, *_: Any) -> None:
        os.kill(self._pid, number)  # until it is waited for, nothing else has its number

    def wait(self) -> tuple[int, dict[str, Any], list[int]]:
        """Return when it has ended: how, and what it told last, with the descriptors of that."""
        handle = os.pidfd_open(self._pid)
        watched = [self._line.fileno(), handle]
        while True:
            ready = select.select(watched, [], [])[0]
            if self._line.fileno() in ready:
                if not self._receive():
                    watched = [handle]
            elif handle in ready:
                break
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        status = os.waitpid(self._pid, 0)[1]  # signals that come now wait for who guards next
        os.close(handle)
        self._line.close()
        return status, self._told, self._descriptors

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(
            self._line, _TOLD_BYTES_MAX, _DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            return False
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = descriptors
        self._told = json.loads(data)[1]
        return True
