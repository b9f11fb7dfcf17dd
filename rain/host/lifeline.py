"""Lifelines: how a process notices that the one which needs it has ended; and how it tells that it is ready.

Theory of operation
-------------------
No process is trusted to end by being asked. A process that starts others holds the writing end of a *lifeline* pipe
whose reading end they watch: however the holder dies, the kernel closes its end and they notice. (The kernel's
parent-death signal fires when the starting *thread* ends, which a library cannot rule out.) Above them stands the
guardian (`rain.processes.guardian`), a subreaper: whatever they leave behind, also in sessions of its own, becomes its
child.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from rain.common.errors import ResourceError

_FD_PREFIX = "fd:"


def watch_lifeline(descriptor: int, on_end: Callable[[], None]) -> None:
    """Call `on_end`, in a thread of its own, when the other end of the pipe at `descriptor` is closed."""
    import threading

    def watch() -> None:
        while True:
            try:
                if not os.read(descriptor, 4096):
                    break
            except BlockingIOError:
                select.select([descriptor], [], [])
            except OSError:
                break
        on_end()

    threading.Thread(target=watch, name="rain-lifeline", daemon=True).start()


def end_with_lifeline(descriptor: int, grace_s: float = 8.0) -> None:
    """End this process when the lifeline does: by SIGTERM, and by force if it still lives `grace_s` seconds later."""

    global _lifeline
    _lifeline = descriptor

    def end() -> None:
        global _lost
        _lost = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    watch_lifeline(descriptor, end)


_lifeline = -1
_lost = False


def lifeline_is_lost() -> bool:
    """Whether this process is ending because its lifeline has (`end_with_lifeline`)."""
    if _lost or _lifeline < 0:
        return _lost
    looked = select.poll()
    looked.register(_lifeline, 0)
    return bool(looked.poll(0))


def write_ready_file(path: str | os.PathLike[str] | None, line: str = "ready") -> None:
    """Tell that this process is ready: create the file `path` with one line in one step.

    ``fd:N`` writes the line to descriptor N and lets go of it; an empty path does nothing.

    Raises
    ------
    ResourceError
        If the file cannot be written.
    """
    if not path:
        return
    name = os.fspath(path)
    text = f"{line}\n".encode()
    try:
        if name.startswith(_FD_PREFIX):
            descriptor = int(name[len(_FD_PREFIX) :])
            os.write(descriptor, text)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)  # not closed: it may be standard output, whose number must stay taken
            os.close(null)
            return
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        partial = f"{name}.{os.getpid()}"
        with open(partial, "wb") as file:
            file.write(text)
        os.replace(partial, name)
    except OSError as error:
        raise ResourceError(f"cannot write the ready file {name}: {error.strerror}") from None
