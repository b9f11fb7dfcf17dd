"""Which process a peer is, so that a peer on the same machine can be told from one that is merely silent."""

from __future__ import annotations

import os

from rain.host.machine import host_id
from rain.host.process_table import start_time, state


def own_identity() -> str:
    """Tells this process from all others, also from later ones with its number; empty where that cannot be told.

    It is ``machine/pid namespace/pid/start time``, and means something only to processes in the same pid namespace.
    """
    try:
        pid = os.getpid()
        return f"{host_id()}/{_namespace()}/{pid}/{start_time(pid)}"
    except OSError:
        return ""


def has_ended(identity: str) -> bool:
    """Whether the process has provably ended; False as well where nothing is known of it."""
    found = _here(identity)
    if found is None:
        return False
    pid, started = found
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's: it lives
        pass
    now = start_time(pid)  # empty where processes of others are hidden
    return bool(now) and (now != started or state(pid) in ("Z", "X"))


def is_stopped(identity: str) -> bool:
    """Whether the process is known to stand still, by a signal or in a debugger."""
    found = _here(identity)
    return found is not None and state(found[0]) in ("T", "t") and start_time(found[0]) == found[1]


def is_known(identity: str) -> bool:
    """Whether `has_ended` and `is_stopped` can answer for it."""
    return _here(identity) is not None


def _here(identity: str) -> tuple[int, str] | None:
    """Pid and start time, if the process is one that can be looked for here."""
    try:
        host, namespace, pid, started = identity.split("/")
        if host != host_id() or namespace != _namespace():
            return None
        return int(pid), started
    except (OSError, ValueError):
        return None


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")
