"""Checks of the machine: room for objects and scratch files, the clock, limits of processes, protection of inputs."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rain.common.formatting import size_text
from rain.common.limits import FAST_BYTES_MIN, GIB
from rain.deploy.checkup.finding import Finding, failure, warning
from rain.executor.readonly import USER_NAMESPACES_VARIABLE, user_namespaces_work
from rain.host.shares import scratch_folder
from rain.processes.memory_folders import store_memory

DISK_BYTES_MIN = GIB
"""With less free space for scratch files than this there is a warning."""
FILES_MIN = 1024
"""With a lower limit of open files or processes than this there is a warning; most systems allow more."""
CLOCK_S = 2.0
"""If the clock of the file system differs by more than this there is a warning."""
MEMORY_FILES = "/dev/shm"


def findings() -> Iterator[Finding]:
    """The findings of all checks of the machine."""
    yield from disk(scratch_folder()[0])
    yield shared_memory(MEMORY_FILES, store_memory())
    yield from limits(*(resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)))
    yield from mappings(resource.getrlimit(resource.RLIMIT_DATA)[0], _number("/proc/sys/vm/overcommit_memory"))
    yield protection(user_namespaces_work(), os.environ.get(USER_NAMESPACES_VARIABLE) == "0", os.geteuid() == 0)


def disk(folder: str) -> Iterator[Finding]:
    """Whether the folder for scratch files can be written and programs run from it, its free space and its clock."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="rain-doctor-") as file:
            file.write(b"x")
            file.flush()
            ahead = os.stat(file.name).st_mtime - time.time()
    except OSError as error:
        yield failure(
            "scratch files", f"{folder}: {error.strerror}", "set TMPDIR to a folder on a local disk that you may write"
        )
        return
    free = shutil.disk_usage(folder).free
    if free < DISK_BYTES_MIN:
        yield warning("scratch files", f"{folder}: {size_text(free)} free", "make room, or set TMPDIR to another disk")
    elif os.statvfs(folder).f_flag & os.ST_NOEXEC:
        yield warning(
            "scratch files",
            f"{folder}: programs cannot be run from there (noexec), and tasks that stage a program will fail",
            "set TMPDIR to a folder of a file system that is not mounted noexec",
        )
    else:
        yield Finding("scratch files", f"{folder}: {size_text(free)} free")
    if abs(ahead) > CLOCK_S:
        where = "ahead of" if ahead > 0 else "behind"
        yield warning(
            "clock",
            f"that of the file system of {folder} is {abs(ahead):.1f} s {where} this machine's: changes of modules "
            "may be missed",
            "synchronize the clocks of both hosts (chrony, systemd-timesyncd), or use a local disk",
        )
    else:
        yield Finding("clock", "agrees with that of the file system")


def shared_memory(folder: str, wanted: int) -> Finding:
    """Whether there is room for objects in memory.

    Parameters
    ----------
    folder : str
    wanted : int
        Bytes that objects may take.
    """
    cure = "give the container more (docker run --shm-size=2g), or mount a tmpfs there; until then objects are on disk"
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return warning("shared memory", f"{folder}: {error.strerror}", cure)
    if not os.access(folder, os.W_OK | os.X_OK):
        return warning("shared memory", f"{folder} cannot be written by you", cure)
    told = f"{folder}: {size_text(usage.free)} of {size_text(usage.total)} free; objects may take {size_text(wanted)}"
    if usage.free < max(FAST_BYTES_MIN, wanted // 8):
        return warning("shared memory", told, cure)
    return Finding("shared memory", told)


def limits(files: tuple[int, int], processes: tuple[int, int]) -> Iterator[Finding]:
    """Whether this user may have enough open files and processes.

    Parameters
    ----------
    files : tuple of int
        Soft and hard limit of open files of a process; negative: none.
    processes : tuple of int
        Soft and hard limit of the user's processes; negative: none.
    """
    soft, hard = files
    if 0 <= hard < FILES_MIN:
        yield warning("open files", f"at most {hard}", "raise the hard limit (ulimit -Hn, /etc/security/limits.conf)")
    else:
        raised = f", which Rain raises to {_limit(hard)} where it needs more" if soft != hard else ""
        yield Finding("open files", f"{_limit(soft)}{raised}")
    if 0 <= processes[0] < FILES_MIN:
        yield warning(
            "processes",
            f"at most {processes[0]} of this user",
            "raise the limit (ulimit -u): each task that runs has a process",
        )


def mappings(data: int, overcommit: int) -> Iterator[Finding]:
    """Whether a limit of memory keeps large values from being mapped so that they can be written.

    Parameters
    ----------
    data : int
        Soft RLIMIT_DATA in bytes; negative: none.
    overcommit : int
        ``vm.overcommit_memory``.
    """
    why = []
    if data >= 0:
        why.append(f"ulimit -d is {size_text(data)}")
    if overcommit == 2:
        why.append("vm.overcommit_memory is 2")
    if why:
        yield warning(
            "mapped values",
            f"{' and '.join(why)}: large loaded values may be read-only",
            "ulimit -d unlimited; sysctl vm.overcommit_memory=0; or load(writable=False) and copy",
        )


def protection(works: bool, is_off: bool, is_root: bool) -> Finding:
    """How inputs are kept from being written by tasks."""
    if works or is_root:
        return Finding("inputs", "protected by read-only mounts")
    if is_off:
        return Finding("inputs", f"compared after each attempt ({USER_NAMESPACES_VARIABLE}=0)")
    return warning(
        "inputs",
        "compared after each attempt, because users may not make namespaces here: a task that changed one runs again",
        "sysctl kernel.unprivileged_userns_clone=1 (Debian) or kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
    )


def _limit(value: int) -> str:
    return "unlimited" if value < 0 else str(value)


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0
