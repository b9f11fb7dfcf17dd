"""Keeps tasks from writing to the objects that they were lent, also those of root.

Theory of operation
-------------------
Files of the store are read-only by their mode, which their owner can change and root need not respect.

A process of root may enter a mount namespace of its own and mount a folder over itself with an id mapping that maps
no user: the owner of each file is unknown there, so that root's privileges do not apply to it. Only the permissions for
others count, writing is a `PermissionError`, changing mode or time is refused. What the store has to grant is reading
by others (files 0444, folders 0755) below a private folder.

Where root cannot do this (an old kernel, a container without CAP_SYS_ADMIN), CAP_DAC_OVERRIDE is taken out of the
bounding set: programs started from then on respect modes like those of any user, also of other files. They may still
change the mode of an input and then write, which is noticed when they have ended. If not even that is allowed, the
folder is mounted read-only. Nothing of this changes what other processes see.

An ordinary user's process enters a user namespace, in which it is the same user and may mount, and mounts the folder
over itself read-only: changing mode, time or contents is an `OSError` (EROFS). That privilege is withheld from tasks,
which may do what they might before. Two things differ: files of other users seem to belong to the user nobody, and
programs cannot become another user (sudo, ping); with ``RAIN_USER_NAMESPACES=0`` nothing of this is done. Many hosts
allow no user namespaces; then only modes protect, and what a task changed is noticed when it has ended
(`rain.objects.lent_inputs`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import struct
import tempfile
from collections.abc import Iterator
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 32, 4096, 1 << 14, 1 << 19
_MS_RELATIME, _ST_RELATIME = 1 << 21, 1 << 12
_MNT_DETACH = 2
_CAP_SYS_ADMIN, _CAPABILITY_VERSION_3 = 21, 0x20080522
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_MOUNT_ATTR_IDMAP = 0x00100000
# These have the same numbers on every architecture, and no function in older C libraries.
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_SOME_ID = 65533
USER_NAMESPACES_VARIABLE = "RAIN_USER_NAMESPACES"


class ReadOnly:
    """Makes folders read-only for this process and all that it starts.

    Attributes
    ----------
    needed : bool
        False where nothing can be done beyond the files' modes: then `protect` does nothing.
    """

    def __init__(self) -> None:
        self.needed = os.geteuid() == 0 or _in_user_namespace
        self._seen: set[str] = set()
        self._mounted: set[str] = set()  # folders that are mounted with owners unknown
        self._safe: set[str] = set()  # folders in which not even an owner or root can write
        self._weakened = False
        self._nobody = -1

    def protect(self, folder: str) -> None:
        """See to it that nothing below `folder` can be written; cheap when it was done before.

        Descriptors that were opened before still write.
        """
        if folder in self._seen or not self.needed:
            return
        self._seen.add(folder)
        for other in self._seen:
            if folder.startswith(f"{other}/"):
                if other in self._safe:
                    self._safe.add(folder)
                return
        if _in_user_namespace:
            self._mount_read_only(folder)
            return
        own_mounts = False
        try:
            enter_own_mounts()
            own_mounts = True
            self._mount_as_nobody(folder)
        except OSError:
            if not self._weaken() and own_mounts:
                self._mount_read_only(folder)

    def guards(self, path: str) -> bool:
        """Whether the file at `path` lies in a folder in which nothing can be written."""
        return os.path.dirname(path) in self._safe

    def hides(self, folder: str) -> bool:
        """Whether only what others may read can be read below `folder`."""
        return folder in self._mounted

    def release(self, folder: str) -> bool:
        """Protect `folder` in another way, since a file in it cannot be read by others; False if it is not hidden."""
        if folder not in self._mounted:
            return False
        self._mounted.discard(folder)
        self._safe.discard(folder)
        unmount(folder)
        if not self._weaken():
            self._mount_read_only(folder)
        return True

    def _mount_read_only(self, folder: str) -> None:
        with contextlib.suppress(OSError), privileged():
            bind(folder, folder, read_only=True)
            self._safe.add(folder)

    def _mount_as_nobody(self, folder: str) -> None:
        if self._nobody < 0:
            self._nobody = _namespace_of_nobody()
        path = os.fsencode(folder)
        tree = _check(
            _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path, ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC)), "open_tree"
        )
        try:
            wanted = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, self._nobody)
            _check(_libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, wanted, len(wanted)), "mount_setattr")
            _check(
                _libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, path, ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)),
                "move_mount",
            )
        finally:
            os.close(tree)
        self._mounted.add(folder)
        self._safe.add(folder)
        if not os.access(os.path.join(folder, "."), os.X_OK):
            self.release(folder)

    def _weaken(self) -> bool:
        if not self._weakened:
            self._weakened = _libc.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) == 0
        return self._weakened


_in_user_namespace = False


@functools.cache
def enter_own_mounts() -> None:
    """Give this process a mount namespace of its own, once; one that is not root's in a user namespace of its own.

    To be called before descriptors of folders are opened and threads are started: those that are older stay in the old
    namespace, and what they reach is another file system to `rename` and `link` than what paths lead to.

    Raises
    ------
    OSError
        If the process may not have one.
    """
    if os.geteuid() == 0:
        _enter(_CLONE_NEWNS)
    elif user_namespaces_work():
        _enter_user_namespace()
    else:
        raise OSError(errno.EPERM, "this user may not have a mount namespace")


def _enter(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")
    # Mounts that the host makes later still appear here; those made here do not appear on the host.
    _check(_libc.mount(b"none", b"/", None, _MS_SLAVE | _MS_REC, None), "mount")


def _enter_user_namespace() -> None:
    global _in_user_namespace
    uid, gid = os.geteuid(), os.getegid()
    _enter(_CLONE_NEWUSER | _CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _in_user_namespace = True
    _set_capabilities(0)


@functools.cache
def user_namespaces_work() -> bool:
    """Whether this user may have a user namespace, and mount in it; found out in a child process."""
    if os.environ.get(USER_NAMESPACES_VARIABLE) == "0":
        return False
    folder = tempfile.mkdtemp(prefix="rain-probe-")
    try:
        child = os.fork()
        if not child:
            status = 1
            try:
                _enter_user_namespace()
                with privileged():
                    bind(folder, folder, read_only=True)
                status = 0
            finally:
                os._exit(status)
        return os.waitpid(child, 0)[1] == 0
    finally:
        os.rmdir(folder)


@contextlib.contextmanager
def privileged() -> Iterator[None]:
    """Let this thread mount, if its process has entered a user namespace."""
    if not _in_user_namespace:
        yield
        return
    _set_capabilities(1 << _CAP_SYS_ADMIN)
    try:
        yield
    finally:
        _set_capabilities(0)


def _set_capabilities(effective: int) -> None:
    """Of all capabilities keep one, in reserve; which are `effective`.

    The others would make files of this user writable that are read-only by their mode.
    """
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, struct.pack("=6I", effective, 1 << _CAP_SYS_ADMIN, 0, 0, 0, 0)), "capset")


def bind(source: str, target: str, *, read_only: bool) -> None:
    """Mount `source` at `target` too.

    Raises
    ------
    OSError
        If that cannot be done; nothing has changed then.
    """
    path = os.fsencode(target)
    _check(_libc.mount(os.fsencode(source), path, None, _MS_BIND, None), "mount")
    if not read_only:
        return
    # In a user namespace the restrictions of the host's mount must be kept.
    flags = os.statvfs(target).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME)
    flags |= os.statvfs(target).f_flag & _ST_RELATIME and _MS_RELATIME
    try:
        _check(_libc.mount(b"none", path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags, None), "mount")
    except OSError:
        _libc.umount2(path, _MNT_DETACH)
        raise


def unmount(path: str) -> None:
    """Undo the last mount at `path`, and all mounts inside of it; at once, even if processes still use them.

    Raises
    ------
    OSError
    """
    _check(_libc.umount2(os.fsencode(path), _MNT_DETACH), "umount2")


def _namespace_of_nobody() -> int:
    """A descriptor of a user namespace that has one id, which owns no file.

    A process can only make a namespace for itself, so a child makes it, and ends when this process has opened it.
    """
    ready, told = os.pipe()
    wait, go = os.pipe()
    child = os.fork()
    if not child:
        made = False
        try:
            made = _libc.unshare(_CLONE_NEWUSER) == 0
            os.write(told, b"y" if made else b"n")
            os.close(go)
            os.read(wait, 1)
        finally:
            os._exit(0)
    try:
        os.close(told)
        if os.read(ready, 1) != b"y":
            raise OSError("no user namespace can be made")
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{kind}", "w") as file:
                file.write(f"{_SOME_ID} {_SOME_ID} 1")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (ready, wait, go):
            os.close(fd)
        os.waitpid(child, 0)


def _check(result: Any, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)
