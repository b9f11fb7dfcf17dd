"""Private folders (scratch), which are removed soon after their owner's end, however it dies.

Theory of operation
-------------------
A folder is removed only if Rain provably made it and no process uses it any more, because its name proves nothing: it
lies where users keep files of their own. A `Scratch` has a name with a random end, belongs to this user, is closed to
other users, and holds a file `MARK` that tells its name, its inode, its owner's process and when that started; a copy,
a folder that was renamed and one that merely looks similar do not fit. The owner holds a lock for as long as it lives,
and takes it before it writes the mark.

The process that removes what a dead owner left (`remove_left`) learns of each folder from its owner: the guardian
(`rain.processes.guardian`) or a keeper (`rain.processes.keeper`). A process that is started anew gets the folders of
the one before it, and takes over those of its own kinds. What is left then goes when the next folder of its kind is
made (`clean`).

A folder may hold what another process can use: a governor's objects. Then the mark says for how long that is awaited
(`Scratch.await_heir`) since the owner was last there (`Scratch.touch`), and until then only an heir takes the folder
(`inherit`, `left_folders`), or a guardian removes it that knows that none comes.

A folder may be needed by what outlives its owner: a server's journal names files in it. Then the mark names that, and
as long as it is there the folder is only taken over, with all that is in it, by a process that names the same
(`Scratch.needed`), or removed by a guardian that removes both.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import stat
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rain.host.lacking import unix
from rain.host.process_table import is_alive, start_time
from rain.objects.dirtree import remove_any, remove_tree

log = logging.getLogger("rain.processes.scratch")

MEMORY_FILES = "/dev/shm"
MARK = ".rain-scratch"
"""The file that names a folder's owner."""
CONSTANTS, GOVERNOR, HELD, LOCAL = "rain-constants-", "rain-governor-", "rain-held-", "rain-local-"
LOGS = "rain-logs-"
SOCKETS, STORE, UPLOADS = "rain-sockets-", "rain-store-", "uploads-"
_KINDS_ONCE = (CONSTANTS, GOVERNOR, HELD, LOCAL, LOGS, SOCKETS, STORE, "rain-server-")
"""Names of folders that this version and older ones make beside users' folders."""
_RANDOM = r"[a-z0-9_]{8}"  # the random part of a name of tempfile.mkdtemp
_MARK_BYTES_MAX = 4096
_NAMED_MAX = 20
_UNMARKED_S = 60.0
"""A folder without a mark that is younger may be one that is just being made."""
_TRIES = 5
_TRY_AGAIN_S = 0.01
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_keeper = -1
_left: list[str] = []


class Scratch:
    """A new private folder (0700), locked for as long as its owner lives.

    Folders of the same kind whose owners were killed are removed first, or taken over where this process follows one
    that died: then the folder has the old name, and what was in it is gone.

    Parameters
    ----------
    parent : str
    prefix : str
        Beginning of the folder's name, which tells the kind of folder.
    kept_s : float
        For how many seconds a folder of this kind stays after its owner was killed (logs, which tell why).
    needed_by : str
        Path of a file or folder; as long as that exists this folder is not removed, though its owner is dead.
    inherited : bool
        Whether to empty and use a folder of this kind that the process before this one left, if there is one.

    Attributes
    ----------
    path : str

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(
        self, parent: str, prefix: str, *, kept_s: float = 0.0, needed_by: str = "", inherited: bool = True
    ) -> None:
        found = _inherited(parent, prefix) if inherited else None
        clean(parent, prefix, kept_s)
        if found is None:
            self.path, self._lock = _make(parent, prefix, needed_by)
        else:
            self.path, self._lock = found
            _empty(self.path)
            _write_mark(self.path, self._lock, os.getpid(), needed_by)
        self._own(kept_s)

    @classmethod
    def needed(cls, path: str, needed_by: str) -> Scratch | None:
        """Take over the folder at `path`, with all that is in it, from an owner that is dead; None if it is not there,
        or not one that `needed_by` needs."""
        folder = _seize(path, needed_by)
        if folder is None:
            return None
        scratch = cls.__new__(cls)
        scratch.path, scratch._lock = path, folder
        _write_mark(path, folder, os.getpid(), needed_by)
        if path in _left:
            _left.remove(path)
        scratch._own(0.0)
        return scratch

    def _own(self, kept_s: float) -> None:
        self._reported = kept_s == 0.0
        if self._reported:
            _report("+", self.path)
        _scratches.add(self)

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock; a process that inherits it holds the folder too."""
        return self._lock

    def await_heir(self, seconds: float) -> None:
        """Should this process be killed, the folder stays for so long for another one to take it."""
        _write_mark(self.path, self._lock, os.getpid(), heir_s=seconds)

    def touch(self) -> None:
        """Renew the time at which the owner was last there."""
        try:
            os.utime(MARK, dir_fd=self._lock, follow_symlinks=False)
        except OSError as error:
            log.warning("the mark of %s cannot be renewed: %s", self.path, error.strerror)

    def hand_over(self, pid: int) -> None:
        """Let go of the folder, which now is process `pid`'s to remove."""
        _write_mark(self.path, self._lock, pid)
        self._let_go()

    def close(self) -> None:
        """Remove the folder with all that is in it; idempotent."""
        if self._lock >= 0:
            _remove(self.path)
            self._let_go()

    def _let_go(self) -> None:
        if self._reported:
            _report("-", self.path)
        os.close(self._lock)
        self._lock = -1


_scratches: weakref.WeakSet[Scratch] = weakref.WeakSet()


def _forked() -> None:
    """A forked child must not hold the folders of its parent."""
    for scratch in _scratches:
        if scratch._lock >= 0:
            os.close(scratch._lock)
            scratch._lock = -1


os.register_at_fork(after_in_child=_forked)


def report_to(descriptor: int, left: list[str]) -> None:
    """Name this process's folders to the keeper at `descriptor`; take over those of `left` that it needs."""
    global _keeper
    _keeper = descriptor
    _left[:] = left


def _report(what: str, path: str) -> None:
    if _keeper >= 0:
        try:
            os.write(_keeper, json.dumps([what, path]).encode() + b"\n")
        except OSError as error:  # the keeper is gone; what this process leaves goes at the next start
            log.warning("no keeper learns of the folder %s: %s", path, error.strerror)


def _make(parent: str, prefix: str, needed_by: str = "") -> tuple[str, int]:
    """A new folder, locked before it is marked."""
    path = tempfile.mkdtemp(prefix=prefix, dir=parent)
    lock = -1
    try:
        lock = os.open(path, _FOLDER_FLAGS)
        unix.lock(lock)
        _write_mark(path, lock, os.getpid(), needed_by)
    except BaseException:
        if lock >= 0:
            os.close(lock)
        remove_tree(path)
        raise
    return path, lock


# -- the owner of a folder ------------------------------------------------------------------------


@cache
def _machine() -> tuple[str, str]:
    """The identity of this machine and of its boot."""
    return f"{os.uname().nodename} {_line('/etc/machine-id')}", _line("/proc/sys/kernel/random/boot_id")


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _write_mark(path: str, folder: int, pid: int, needed_by: str = "", heir_s: float = 0.0) -> None:
    machine, boot = _machine()
    values = {"name": os.path.basename(path), "inode": os.fstat(folder).st_ino, "uid": os.geteuid()}
    values |= {"pid": pid, "started": start_time(pid), "machine": machine, "boot": boot}
    values |= {"needed_by": needed_by} if needed_by else {}
    values |= {"heir_s": heir_s} if heir_s else {}
    part = f"{MARK}.{os.getpid()}"
    mark = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    text = json.dumps(values).encode() + b"\n"
    try:
        try:
            if os.write(mark, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(mark)
        os.rename(part, MARK, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(part, dir_fd=folder)
        raise


def _read_mark(folder: int) -> dict[str, Any] | None:
    """The content of a folder's mark, if there is one that this user wrote."""
    try:
        mark = os.open(MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    try:
        seen = os.fstat(mark)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_size > _MARK_BYTES_MAX:
            return None
        values = json.loads(os.read(mark, _MARK_BYTES_MAX))
    except (OSError, ValueError):
        return None
    finally:
        os.close(mark)
    return values if isinstance(values, dict) else None


def _is_left(path: str, folder: int, needed_by: str = "", within: str = "") -> bool:
    """Whether the mark in the folder at `path` proves that Rain made it for this user and that its owner is dead, and
    whether no file needs it but `needed_by`, or one in the folder `within`."""
    seen = os.fstat(folder)
    mark = _read_mark(folder)
    if mark is None or seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
        return False
    if (mark.get("name"), mark.get("inode"), mark.get("uid")) != (os.path.basename(path), seen.st_ino, seen.st_uid):
        return False
    needs = mark.get("needed_by")
    if needed_by or isinstance(needs, str):
        passed = needs == needed_by or (bool(within) and str(needs).startswith(within + os.sep))
        if not passed and (needed_by or os.path.lexists(str(needs))):
            return False
    machine, boot = _machine()
    if mark.get("boot") != boot or not boot:
        return bool(machine) and mark.get("machine") == machine  # this machine was booted since
    pid, started = mark.get("pid"), mark.get("started")
    return isinstance(pid, int) and (not is_alive(pid) or start_time(pid) != started)


def _seize(path: str, needed_by: str = "", within: str = "") -> int | None:
    """A locked descriptor of the folder at `path`, if Rain provably made it and no process uses it; else None."""
    if not re.fullmatch(rf".*-{_RANDOM}", os.path.basename(path), re.DOTALL):
        return None
    try:
        folder = os.open(path, _FOLDER_FLAGS)
    except OSError:
        return None
    try:
        if _is_left(path, folder, needed_by, within):
            unix.lock(folder, wait=False)
            # Once more: until it was locked, another process could remove it or take it over.
            if _is_left(path, folder, needed_by, within) and os.path.samestat(os.lstat(path), os.fstat(folder)):
                return folder
    except OSError:
        pass
    os.close(folder)
    return None


def _inherited(parent: str, prefix: str) -> tuple[str, int] | None:
    """A folder of this kind that the process before this one left, and its lock."""
    for path in _left:
        if os.path.dirname(path) == parent and re.fullmatch(prefix + _RANDOM, os.path.basename(path)):
            folder = _seize(path)
            if folder is not None:
                _left.remove(path)
                return path, folder
    return None


# -- removing -------------------------------------------------------------------------------------


def left_folders(parent: str, prefix: str) -> list[str]:
    """Paths of folders of a kind: first those that the process before this one left, then all others in `parent`."""
    try:
        names = sorted(name for name in os.listdir(parent) if re.fullmatch(re.escape(prefix) + _RANDOM, name))
    except OSError:
        return []
    paths = [os.path.join(parent, name) for name in names]
    return sorted(paths, key=lambda path: path not in _left)


def was_left(path: str) -> bool:
    """Whether the process before this one left the folder, and the guardian has handed it on."""
    return path in _left


@contextmanager
def inherit(path: str) -> Iterator[str | None]:
    """Lock the folder at `path` for this process, if its owner is dead; returns None if that is not possible.

    The caller takes out what it wants; `remove_inherited` removes the folder with the rest.
    """
    folder = _seize(path)
    tries = _TRIES if folder is None else 0
    while folder is None and tries and _has_died(path):
        time.sleep(_TRY_AGAIN_S)  # a keeper has it locked
        folder, tries = _seize(path), tries - 1
    try:
        yield None if folder is None else path
    finally:
        if folder is not None:
            os.close(folder)


def _has_died(path: str) -> bool:
    try:
        folder = os.open(path, _FOLDER_FLAGS)
    except OSError:
        return False
    try:
        return _is_left(path, folder)
    finally:
        os.close(folder)


def remove_inherited(path: str) -> None:
    """Remove the rest of a folder that `inherit` locked."""
    _remove(path)
    if path in _left:
        _left.remove(path)
    _report("-", path)


def is_awaited(path: str) -> bool:
    """Whether a folder of a dead owner still waits for another process to take it over, as the owner wished."""
    folder = _seize(path)
    if folder is None:
        return False
    try:
        return _is_awaited(path, folder)
    finally:
        os.close(folder)


def _is_awaited(path: str, folder: int) -> bool:
    mark = _read_mark(folder)
    heir_s = None if mark is None else mark.get("heir_s")
    if mark is None or not isinstance(heir_s, int | float) or mark.get("boot") != _machine()[1]:
        return False
    return time.time() - _used_at(path) < heir_s


def clean(parent: str, prefix: str, kept_s: float = 0.0, heirs: bool = True) -> None:
    """Remove folders of a kind in `parent` whose owners were killed more than `kept_s` seconds ago; with `heirs` not
    those that wait for another process."""
    try:
        names = [name for name in os.listdir(parent) if re.fullmatch(re.escape(prefix) + _RANDOM, name)]
    except OSError:
        return
    for path in (os.path.join(parent, name) for name in names):
        if path in _left:
            continue  # of another kind that this process uses, or for the guardian to remove
        folder = _seize(path)
        if folder is None:
            continue
        try:
            waits = heirs and _is_awaited(path, folder)
            if not waits and (not kept_s or time.time() - _used_at(path) > kept_s):
                _remove(path)
        finally:
            os.close(folder)


def remove_left(path: str, within: str = "", heirs: bool = False) -> bool:
    """Remove one folder if Rain provably made it, no process uses it, and no file outside of the folder `within` needs
    it; returns whether it is gone now. With `heirs` it stays while it waits for another process."""
    folder = _seize(path, within=within)
    if folder is not None:
        try:
            if not (heirs and _is_awaited(path, folder)):
                _remove(path)
        finally:
            os.close(folder)
    return not os.path.lexists(path)


def _used_at(path: str) -> float:
    """When an entry directly in the folder changed last."""
    with os.scandir(path) as entries:
        return max((entry.stat(follow_symlinks=False).st_mtime for entry in entries), default=0.0)


def name_others(parents: Iterable[str]) -> None:
    """Log the names of this user's folders that look like Rain's but hold no proof of it, and so are not removed."""
    others = []
    for path in (os.path.join(parent, name) for parent in dict.fromkeys(parents) for name in _names(parent)):
        try:
            seen = os.lstat(path)
        except OSError:
            continue
        ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()
        if ours and time.time() - seen.st_mtime > _UNMARKED_S and not os.path.lexists(os.path.join(path, MARK)):
            others.append(path)
    if others:
        shown = ", ".join(sorted(others)[:_NAMED_MAX]) + (", …" if len(others) > _NAMED_MAX else "")
        log.info(
            "not removed, because nothing in them says that this version of Rain made them: %s. If an older version "
            "did, and does not run any more, remove them yourself",
            shown,
        )


def _names(parent: str) -> list[str]:
    kinds = "|".join(map(re.escape, _KINDS_ONCE))
    try:
        return [name for name in os.listdir(parent) if re.fullmatch(f"({kinds}){_RANDOM}", name)]
    except OSError:
        return []


def _empty(path: str) -> None:
    for name in os.listdir(path):
        if name != MARK:
            remove_any(os.path.join(path, name))


def _remove(path: str) -> None:
    """Remove a folder, its mark last, so that the rest is still recognized if this is interrupted."""
    try:
        _empty(path)
    except OSError:
        pass
    remove_tree(path)
