"""Which process a peer is, so that a peer on the same machine can be told from one that is merely silent."""

from __future__ import annotations

import os

from rain.host.process import host_id


def own_identity() -> str:
    """Tells this process from all others, also from later ones with its number; empty where that cannot be told.

    It is ``machine/pid namespace/pid/start time``, and means something only to processes in the same pid namespace.
    """
    try:
        pid = os.getpid()
        return f"{host_id()}/{_namespace()}/{pid}/{_state(pid)[1]}"
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
    try:
        state, start = _state(pid)
    except OSError:  # not shown to everybody
        return False
    return start != started or state in "ZX"


def is_stopped(identity: str) -> bool:
    """Whether the process is known to stand still, by a signal or in a debugger."""
    found = _here(identity)
    if found is None:
        return False
    try:
        state, start = _state(found[0])
    except OSError:
        return False
    return start == found[1] and state in "Tt"


def is_known(identity: str) -> bool:
    """Whether the two above can answer for it."""
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


def _state(pid: int) -> tuple[str, str]:
    """What a process does, and when it was started."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0].decode(), fields[19].decode()
