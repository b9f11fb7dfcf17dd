"""Processes: which host this is, what it offers, starting and ending them so that none is left behind.

Theory of operation
-------------------
Nobody here trusts a process to end by being asked. Whoever starts others holds the writing end of a *lifeline* pipe
whose reading end they watch: however the holder dies, the kernel closes its end and they notice. (The kernel's
parent-death signal fires when the starting *thread* ends, which a library cannot rule out.) Above them stands the
guardian (`rain.processes.guardian`), a subreaper: whatever they leave behind, also in sessions of its own, becomes its
child.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import IO, TYPE_CHECKING

from rain.common.errors import RainException, ResourceError
from rain.host.cgroup import cpu_limit
from rain.host.cgroup import read as _read
from rain.host.descriptors import is_out_of_descriptors, opened, out_of_descriptors

if TYPE_CHECKING:
    import subprocess

_PR_SET_CHILD_SUBREAPER = 36
_FD_PREFIX = "fd:"
SECRET_VARIABLES = ("RAIN_TOKEN",)
"""Environment variables that no other process may inherit."""


@cache
def host_id() -> str:
    """A name that two processes share when they can see each other's files.

    It changes when the machine starts anew. Containers on one machine differ by their own machine id or host name.
    """
    import hashlib

    boot = _read("/proc/sys/kernel/random/boot_id")
    machine = _read("/etc/machine-id")
    if not boot:
        import uuid

        boot = str(uuid.getnode())
    return hashlib.sha256("\0".join((boot, machine, os.uname().nodename)).encode()).hexdigest()[:32]


# -- cpus -----------------------------------------------------------------------------------------


def available_cpus() -> int:
    """How many cpus this process may use: its affinity, and the limit of its control group."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_limit()
    return max(1, min(cpus, int(quota + 0.5)) if quota else cpus)


def parse_cpus(text: str | int) -> int:
    """How many cpus ``N`` (as many, even if the machine has fewer), ``-N`` (all but N) or ``detect`` means here.

    Raises
    ------
    RainException
        If it means none.

    Examples
    --------
    >>> parse_cpus("3"), parse_cpus("detect") == available_cpus()
    (3, True)
    """
    if str(text).strip() == "detect":
        return available_cpus()
    try:
        number = int(text) if type(text) in (int, str) else None
    except ValueError:
        number = None
    if number is None:
        raise RainException(f"cpus must be a number, -N (all but N) or 'detect', not {text!r}")
    if number < 0:
        all_cpus = available_cpus()
        if all_cpus + number < 1:
            raise RainException(f"cpus {number} leaves none of the {all_cpus} cpus that this process may use")
        return all_cpus + number
    return number


# -- lifelines, ready notes -----------------------------------------------------------------------


def watch_lifeline(descriptor: int, on_end: Callable[[], None]) -> None:
    """Call `on_end`, in a thread of its own, when the other end of the pipe at `descriptor` is closed."""
    import threading

    def watch() -> None:
        while True:
            try:
                if not os.read(descriptor, 4096):
                    break
            except InterruptedError:
                continue
            except BlockingIOError:
                import select

                select.select([descriptor], [], [])
            except OSError:
                break
        on_end()

    threading.Thread(target=watch, name="rain-lifeline", daemon=True).start()


def end_with_lifeline(descriptor: int, grace_s: float = 8.0) -> None:
    """End this process when the lifeline does: by SIGTERM, and by force if it still lives `grace_s` seconds later."""

    def end() -> None:
        global _lifeline_lost
        _lifeline_lost = True
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    watch_lifeline(descriptor, end)


_lifeline_lost = False


def lifeline_is_lost() -> bool:
    """Whether this process is ending because its lifeline has (`end_with_lifeline`)."""
    return _lifeline_lost


def write_ready_file(path: str | os.PathLike[str] | None) -> None:
    """Tell that this process is ready: create the file `path` with the line ``ready`` in one step.

    ``fd:N`` writes the line to descriptor N and lets go of it; an empty path does nothing.

    Raises
    ------
    ResourceError
        If the file cannot be written.
    """
    if not path:
        return
    name = os.fspath(path)
    try:
        if name.startswith(_FD_PREFIX):
            descriptor = int(name[len(_FD_PREFIX) :])
            os.write(descriptor, b"ready\n")
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)  # not closed: it may be standard output, whose number must stay taken
            os.close(null)
            return
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        partial = f"{name}.{os.getpid()}"
        with open(partial, "w", encoding="ascii") as file:
            file.write("ready\n")
        os.replace(partial, name)
    except OSError as error:
        raise ResourceError(f"cannot write the ready file {name}: {error.strerror}") from None


# -- starting -------------------------------------------------------------------------------------


def become_subreaper() -> None:
    """Make this process the parent of its descendants' orphans."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise ResourceError(f"cannot become the subreaper: {os.strerror(ctypes.get_errno())}")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without Rain's secrets, with `extra`."""
    return {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES} | dict(extra or {})


def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    keep: Iterable[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that no keyboard interrupt reaches it; descriptors `keep` stay open.

    Raises
    ------
    ResourceError
        If the program cannot be started.
    """
    import subprocess

    try:
        return opened(
            subprocess.Popen,
            command,
            env=clean_environment(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(keep),
            start_new_session=True,
        )
    except OSError as error:
        if is_out_of_descriptors(error):
            raise out_of_descriptors(f"cannot start {command[0]}", error) from None
        raise ResourceError(f"cannot start {command[0]}: {error.strerror}") from None


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


# -- ending ---------------------------------------------------------------------------------------


def parents() -> dict[int, int]:
    """pid -> parent's pid of every process that is not a zombie."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb", buffering=0) as file:
                # The name stands in parentheses and may hold anything, also parentheses.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            found[int(entry)] = int(fields[1])
    return found


def descendants(pid: int) -> list[int]:
    """The living processes below `pid`, children before their children."""
    below: dict[int, list[int]] = {}
    for child, parent in parents().items():
        below.setdefault(parent, []).append(child)
    found, queue = [], list(below.get(pid, ()))
    while queue:
        child = queue.pop(0)
        found.append(child)
        queue += below.get(child, ())
    return found


def family(pid: int) -> list[int]:
    """A process and its descendants. Looks only at these, not at all of the machine's."""
    members = [pid]
    for member in members:
        try:
            for thread in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{thread}/children") as file:
                    members += map(int, file.read().split())
        except OSError:  # it ended meanwhile
            continue
    return members


def own_memory(pid: int) -> int:
    """Bytes of memory that a process has for itself (files that it mapped do not count); 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith((b"RssAnon:", b"VmSwap:")))


def is_alive(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def start_time(pid: int) -> str:
    """Tells processes apart that had the same number; empty if there is none with `pid`."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""


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


def close_all_but(keep: Collection[int]) -> None:
    """Close all descriptors but these and the standard streams; in a fresh child."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass
