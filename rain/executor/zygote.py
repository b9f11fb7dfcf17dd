"""The process that executors are forked from.

Theory of operation
-------------------
A governor starts one zygote for each Python interpreter that it needs::

    python -P -c "…; from rain.executor.zygote import main; main()" FILES FD

where FILES is the number of open files that tasks and programs may have: the limit with which the governor was started.

The zygote imports what every executor needs, runs nothing, has one thread, and forks an executor in about two
milliseconds whenever its governor asks (`Fork`, with the executor's descriptors beside it). It tells when an executor
and everything that descends from it is gone (`Exited`).

Nothing survives: each executor leads a session of its own and is a subreaper, so that its descendants stay below it
while it lives; the zygote is a subreaper too, so that they become its children when the executor dies, and are killed.
When the governor dies, the zygote sees the end of its socket, kills all, and ends; executors get SIGKILL from the
kernel when the zygote dies before that, and see the end of their own sockets.

The descriptor is one end of a ``SOCK_SEQPACKET`` pair: one packet is one message.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import NamedTuple, NoReturn

import cloudpickle  # noqa: F401  every executor needs it
import msgspec

import rain.objects.content_types.codecs
import rain.objects.content_types.json
import rain.objects.content_types.pickle  # noqa: F401
from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import Exited, Fork, Forked, GovernorToZygote, Kill, Ready
from rain.executor import loop
from rain.executor.readonly import user_namespaces_work
from rain.host.descriptors import restore_limit
from rain.host.signals import unblock_signals

PACKET_BYTES_MAX = 4096
FORK_DESCRIPTORS = 4
"""With `Fork` come the executor's socket, its stdout, its stderr, and the shared words."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ORPHANS_WAIT_S = 2.0
_OOM_SCORE = "300"  # when memory runs out, the kernel shall take an executor rather than governor or server

_libc = ctypes.CDLL(None)
_decode = msgspec.msgpack.Decoder(GovernorToZygote).decode


class Executor(NamedTuple):
    """What a forked child needs to become an executor."""

    socket: socket.socket
    words: int
    slot: int


class Zygote:
    """Forks executors and buries them.

    Parameters
    ----------
    control : socket.socket
        The governor's.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pids: dict[int, int] = {}  # executor_id -> pid
        self._ids: dict[int, int] = {}  # pid -> executor_id
        self._dead: list[Exited] = []  # to be told once no orphan is left
        self._patience = 0.0  # until when one is waited for
        self._wake, self._wake_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # It ends with its governor. Of what a batch system sends to all processes executors may die; it buries them.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def serve(self) -> Executor | None:
        """Work until the governor is gone: None. In each forked child it returns too, with what the child needs."""
        self._control.send(encode(Ready(os.getpid())))
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll(20 if self._dead else None):
                if fd == self._wake:
                    os.read(self._wake, 4096)
                    continue
                data, fds, _flags, _address = socket.recv_fds(
                    self._control, PACKET_BYTES_MAX, FORK_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
                if not data:
                    self._kill_all()
                    return None
                message = _decode(data)
                if isinstance(message, Fork):
                    child = self._fork(message, fds)
                    if child is not None:
                        return child
                elif isinstance(message, Kill) and message.executor_id in self._pids:
                    _kill_group(self._pids[message.executor_id])
            self._bury()

    def _fork(self, message: Fork, fds: list[int]) -> Executor | None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._dead.append(Exited(message.executor_id, 0, error.errno or 0))
            pid = -1
        if pid == 0:
            _become_executor(parent)
            self._control.close()
            signal.set_wakeup_fd(-1)
            os.close(self._wake)
            os.close(self._wake_end)
            end, stdout, stderr, words = fds
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            os.close(stdout)
            os.close(stderr)
            return Executor(socket.socket(fileno=end), words, message.slot)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self._pids[message.executor_id] = pid
            self._ids[pid] = message.executor_id
            self._control.send(encode(Forked(message.executor_id, pid)))
        return None

    def _bury(self) -> None:
        """Reap the dead, kill what dead executors left behind, tell the governor."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            executor_id = self._ids.pop(pid, None)
            if executor_id is not None:
                _kill_group(pid, leader=False)
                del self._pids[executor_id]
                self._dead.append(Exited(executor_id, pid, status, usage.ru_maxrss << 10))
                self._patience = time.monotonic() + _ORPHANS_WAIT_S
        if self._dead and (not self._kill_orphans() or time.monotonic() > self._patience):
            for exited in self._dead:
                self._control.send(encode(exited))
            self._dead.clear()

    def _kill_orphans(self) -> bool:
        """Kill the children that are no executors, with their groups; whether there were any."""
        orphans = [pid for pid in _children() if pid not in self._ids]
        for pid in orphans:
            _kill_group(pid)
        return bool(orphans)

    def _kill_all(self) -> None:
        for pid in self._ids:
            _kill_group(pid)
        self._control.close()
        try:
            while True:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
                self._kill_orphans()
                if select.select([self._wake], [], [], _ORPHANS_WAIT_S)[0]:
                    os.read(self._wake, 4096)
        except ChildProcessError:  # none is left
            return


def _become_executor(parent: int) -> None:
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        # A warning that the governor heeds. A handler, as what is ignored would stay ignored in programs.
        signal.signal(number, lambda *_: None)
    _write("/proc/self/oom_score_adj", _OOM_SCORE)
    _write("/proc/self/comm", "rain-executor")


def _kill_group(pid: int, leader: bool = True) -> None:
    """SIGKILL to the group that a process leads, and to the `leader` itself (it may not lead yet)."""
    for kill in (os.killpg, os.kill) if leader else (os.killpg,):
        try:
            kill(pid, signal.SIGKILL)
        except OSError:  # already gone, or no leader
            pass


def _children() -> list[int]:
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:  # a nicety that this kernel or container does not have
        pass


def main() -> NoReturn:
    """Serve the governor at the other end of the descriptor that is the last argument; the one before is how many
    files executors may have open."""
    _write("/proc/self/comm", "rain-zygote")
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    unblock_signals()
    restore_limit(int(sys.argv[-2]))
    control = socket.socket(fileno=int(sys.argv[-1]))
    control.set_inheritable(False)
    sys.argv[:] = [""]
    if os.geteuid() != 0:
        user_namespaces_work()  # once for all executors
    gc.enable()
    gc.collect()
    gc.freeze()  # what is shared by all executors need not be looked at, nor copied because it was looked at
    executor = Zygote(control).serve()
    if executor is None:
        os._exit(0)
    try:
        loop.run(executor.socket, executor.words, executor.slot)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # whatever threads user code has left


if __name__ == "__main__":
    main()
