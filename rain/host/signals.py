"""Signals: their names, and ending processes with all that they started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

from rain.host.process_table import descendants, is_alive

STAYS_AWAY = int(signal.SIGRTMIN) + 3
"""From a guardian to its server before it ends it: the server will not be started again. Only Rain uses it."""
LEFT_STATUS = 75
"""Exit status of a governor that left because of a signal, where what started it is to start it again."""


def signal_name(number: int) -> str:
    """A signal's name; real-time signals have none in `signal.Signals`.

    Examples
    --------
    >>> signal_name(9), signal_name(signal.SIGRTMIN), signal_name(signal.SIGRTMIN + 6)
    ('SIGKILL', 'SIGRTMIN', 'SIGRTMIN+6')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        first = int(signal.SIGRTMIN)
        return f"SIGRTMIN+{number - first}" if first < number < signal.SIGRTMAX else f"SIG{number}"


def unblock_signals() -> None:
    """Let all signals through that this process's parent blocked or ignored (Ray blocks SIGINT, a shell ignores it in
    background jobs): tasks would inherit that, and could not be interrupted. SIGHUP stays ignored under ``nohup``."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def signal_of(status: int) -> int:
    """The signal that ended a process, of its exit status as Python gives it (negative), or as a shell tells it of the
    command that it ran (from 129 on); 0 if it was none.

    Examples
    --------
    >>> signal_of(-15), signal_of(143), signal_of(1)
    (15, 15, 0)
    """
    number = -status if status < 0 else status - 128
    return number if 0 < number < signal.NSIG else 0


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def kill_tree(pid: int, grace_s: float = 0.0) -> None:
    """End `pid`, its process group if it leads one, and all descendants.

    With `grace_s`, `pid` alone gets SIGTERM first, and that many seconds to end what it started. The caller reaps.
    """
    if grace_s > 0:
        signal_all([pid], signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
    for _ in range(10):  # a process that forks while it is being killed needs another round
        found = descendants(pid)
        if is_alive(pid):
            try:
                if os.getpgid(pid) == pid:
                    os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            found.append(pid)
        if not found:
            return
        signal_all(found, signal.SIGKILL)
