"""Directory trees: walking them without following links, copying, linking, removing, and adopting what a task made."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import stat
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from rain.common.errors import RainException
from rain.common.limits import ARCHIVE_BYTES_MAX, ARCHIVE_DEPTH_MAX, ARCHIVE_ENTRIES_MAX
from rain.host.descriptors import opened
from rain.objects.files import copy_bytes, no_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EMPTIED_DEPTH_MAX = 100  # each level takes a descriptor and a frame of the interpreter's stack
_FICLONE = 0x40049409
_no_clones: set[int] = set()  # devices of file systems that cannot clone files
_LINKS_FOLLOWED_MAX = 40  # as the kernel: beyond, following fails with ELOOP


class Limits(NamedTuple):
    """Bounds of a directory or archive."""

    entries: int = ARCHIVE_ENTRIES_MAX
    depth: int = ARCHIVE_DEPTH_MAX
    bytes: int = ARCHIVE_BYTES_MAX


class Entry(NamedTuple):
    """Something below a directory.

    Attributes
    ----------
    path : str
        Below the directory, with slashes.
    name : str
        Its last component.
    kind : str
        ``"f"``, ``"d"`` or ``"l"`` (a symbolic link).
    stat : os.stat_result
    folder : int
        Descriptor of its parent, open until the next entry is asked for.
    target : str
        Of a link.
    """

    path: str
    name: str
    kind: str
    stat: os.stat_result
    folder: int
    target: str = ""


def open_folder(path: str, parent: int | None = None) -> int:
    """A descriptor of a directory; as a component below `parent` it must not be a link."""
    return opened(os.open, path, _FOLDER_FLAGS if parent is None else _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)


class LinkLoop(RainException):
    """Links that lead to each other: nobody can follow them."""


def resolve(folder: Sequence[str], target: str, read_link: Callable[[str], str | None]) -> list[str] | None:
    """Where a link in `folder` (components below the root) to `target` leads, as components below the root without
    links among them; None if it leads outside.

    `read_link(path)` says where a path below the root leads if it is a link itself, else None.

    Raises
    ------
    LinkLoop
        If more links are on the way than the kernel would follow.
    """
    if target.startswith("/"):
        return None
    at = list(folder)
    todo = [target]
    followed = 0
    while todo:
        part, _, rest = todo.pop().partition("/")
        if rest:
            todo.append(rest)
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                return None
            at.pop()
            continue
        at.append(part)
        link = read_link("/".join(at))
        if link is not None:
            followed += 1
            if followed > _LINKS_FOLLOWED_MAX:
                raise LinkLoop(f"{target!r} goes through more than {_LINKS_FOLLOWED_MAX} links")
            if link.startswith("/"):
                return None
            at.pop()
            todo.append(link)
    return at


def link_stays_inside(folder: Sequence[str], target: str, read_link: Callable[[str], str | None]) -> bool:
    """Whether a link leads to somewhere below the root, as `resolve` says. One that nobody can follow stays inside."""
    try:
        return resolve(folder, target, read_link) is not None
    except LinkLoop:
        return True


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it, as they are written."""
    return path == folder or path.startswith(f"{folder}/")


def is_inside(path: str, places: frozenset[str]) -> bool:
    """Whether `path` is one of `places` or below one, as they are written."""
    while path not in places:
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return True


def walk(
    root: str, limits: Limits | None = None, *, follow: Sequence[str] = (), check_links: bool = True
) -> Iterator[Entry]:
    """Everything below `root`, folders before what is in them, in the order of names. Links are not followed.

    Parameters
    ----------
    follow : sequence of str
        Files and folders (real paths): links to them, or to regular files inside them, come as those files, with
        `target` set.
    check_links : bool
        Whether links that lead outside are refused.

    Raises
    ------
    RainException
        If there is a device, pipe or socket, a link that leads outside, or more than `limits` allow.
    OSError
        If something cannot be read.
    """
    bound = limits or Limits()
    places = frozenset(follow)
    top = open_folder(root)
    # Of each open folder: its path with a slash, its descriptor, the names left (in reverse).
    stack = [("", top, sorted(os.listdir(top), reverse=True))]
    entries = total = 0

    def read_link(path: str) -> str | None:
        try:
            return os.readlink(path, dir_fd=top)
        except OSError:
            return None

    try:
        while stack:
            prefix, folder, names = stack[-1]
            if not names:
                stack.pop()
                if folder != top:
                    os.close(folder)
                continue
            name = names.pop()
            path = prefix + name
            entries += 1
            if entries > bound.entries:
                raise RainException(f"{root} has more than {bound.entries} entries (ARCHIVE_ENTRIES_MAX)")
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(seen.st_mode):
                yield Entry(path, name, "f", seen, folder)
                total += seen.st_size
            elif stat.S_ISDIR(seen.st_mode):
                yield Entry(path, name, "d", seen, folder)
                if len(stack) > bound.depth:
                    raise RainException(f"{root} is deeper than {bound.depth} folders (ARCHIVE_DEPTH_MAX)")
                inner = open_folder(name, folder)
                stack.append((path + "/", inner, sorted(os.listdir(inner), reverse=True)))
            elif stat.S_ISLNK(seen.st_mode):
                target = os.readlink(name, dir_fd=folder)
                real = os.path.realpath(os.path.join(root, path)) if follow else ""
                if follow and is_inside(real, places) and os.path.isfile(real):
                    followed = os.stat(real)
                    total += followed.st_size
                    yield Entry(path, name, "f", followed, folder, real)
                elif check_links and not link_stays_inside(path.split("/")[:-1], target, read_link):
                    raise RainException(
                        f"{os.path.join(root, path)} is a link to {target!r}, which leads outside of the directory; "
                        "put the file itself there"
                    )
                else:
                    yield Entry(path, name, "l", seen, folder, target)
            else:
                raise RainException(f"{os.path.join(root, path)} is neither a file, a folder nor a link")
            if total > bound.bytes:
                raise RainException(f"{root} has more than {bound.bytes} bytes (ARCHIVE_BYTES_MAX)")
    finally:
        for _, folder, _ in stack:
            if folder != top:
                os.close(folder)
        os.close(top)


def tree_size(root: str) -> int:
    """The sum of the sizes of the files in a directory, in bytes.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes; see `walk`.
    """
    return sum(entry.stat.st_size for entry in walk(root) if entry.kind == "f")


def file_identities(root: str) -> frozenset[tuple[str, int, int, int]]:
    """Path, inode, size and mtime_ns of each file in a directory; empty if it cannot be read."""
    try:
        return frozenset(
            (entry.path, entry.stat.st_ino, entry.stat.st_size, entry.stat.st_mtime_ns)
            for entry in walk(root)
            if entry.kind == "f"
        )
    except (OSError, RainException):
        return frozenset()


def _copy_file(source: int, path: str, size: int, mode: int) -> None:
    target = opened(os.open, path, _NEW_FLAGS, mode)
    try:
        copy_bytes(source, target, size)
    except OSError as error:
        raise (no_room(error, path, size) or error) from None
    finally:
        os.close(target)


def copy_file(source: str, target: str, mode: int = 0o644) -> int:
    """Copy the contents of a file into a new one; gives the size.

    Raises
    ------
    ResourceError
        If the disk is full.
    """
    fd = opened(os.open, source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        _copy_file(fd, target, size, mode)
        return size
    except BaseException:
        _unlink(target)
        raise
    finally:
        os.close(fd)


def clone_file(source: str, target: str) -> bool:
    """Let a new file have the contents of another one without a copy, where the file system can; whether it did.

    Raises
    ------
    FileExistsError
    """
    device = os.stat(source).st_dev
    if device in _no_clones or device != os.stat(os.path.dirname(target) or ".").st_dev:
        return False
    with open(source, "rb", buffering=0) as origin:
        fd = os.open(target, _NEW_FLAGS, 0o644)
        try:
            fcntl.ioctl(fd, _FICLONE, origin.fileno())
        except OSError as error:
            os.unlink(target)
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                _no_clones.add(device)
            return False
        finally:
            os.close(fd)
    return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def copy_tree(source: str, target: str, *, follow: Sequence[str] = (), check_links: bool = True) -> int:
    """A writable copy of a directory at the new path `target`; gives the sum of the files' sizes.

    `follow` and `check_links` as of `walk`.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes, or the disk is full; nothing is left then.
    FileExistsError
        If `target` exists.
    """
    os.mkdir(target)
    total = 0
    try:
        for entry in walk(source, follow=follow, check_links=check_links):
            path = os.path.join(target, entry.path)
            if entry.kind == "d":
                os.mkdir(path)
            elif entry.kind == "l":
                os.symlink(entry.target, path)
            else:
                if entry.target:
                    fd = opened(os.open, entry.target, _READ_FLAGS)
                else:
                    fd = opened(os.open, entry.name, _READ_FLAGS, dir_fd=entry.folder)
                try:
                    _copy_file(fd, path, entry.stat.st_size, 0o755 if entry.stat.st_mode & 0o100 else 0o644)
                finally:
                    os.close(fd)
                total += entry.stat.st_size
    except BaseException:
        remove_tree(target)
        raise
    return total


def link_tree(source: str, target: str, *, hard: bool = False) -> int:
    """Real folders at the new path `target` with links to the files of `source`; gives the sum of the files' sizes.

    Parameters
    ----------
    hard : bool
        Whether all links to files must be hard links (same file system only); else they are where that is possible.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes; nothing is left then.
    OSError
        If `target` exists, or a hard link is not possible and must be.
    """
    origin = os.path.abspath(source)
    os.mkdir(target)
    total = 0
    try:
        for entry in walk(origin):
            path = os.path.join(target, entry.path)
            if entry.kind == "d":
                os.mkdir(path)
            elif entry.kind == "l":
                os.symlink(entry.target, path)
            else:
                total += entry.stat.st_size
                if hard:
                    os.link(entry.name, path, src_dir_fd=entry.folder, follow_symlinks=False)
                else:
                    link_file(os.path.join(origin, entry.path), path)
    except BaseException:
        remove_tree(target)
        raise
    return total


def link_file(source: str, target: str) -> None:
    """`target` becomes a hard link of `source`, which outlives it, or where that is not possible a symbolic one."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        os.symlink(os.path.abspath(source), target)


def own_tree(root: str, follow: Sequence[str] = (), lent: Sequence[str] = (), *, trusted: bool = False) -> int:
    """Make the files of a directory that a task made read-only, and links into the folders `follow` the files that they
    mean (hard links, where possible); gives the sum of the files' sizes.

    A file that has a name outside of the directory too is somebody else's: it is replaced by a copy and otherwise left
    alone.

    Parameters
    ----------
    root : str
    follow : sequence of str
        Real paths of folders.
    lent : sequence of str
        Paths of stored objects: hard links to their files stay such.
    trusted : bool
        That all files which have other names are those of stored objects.

    Raises
    ------
    RainException
        If the directory is not one that Rain takes, or the disk is full.
    OSError
        If something cannot be read.
    """
    total = 0
    linked = []
    shared = []
    for entry in walk(root, follow=follow):
        if entry.kind == "f":
            total += entry.stat.st_size
            if entry.target:
                linked.append((entry.path, entry.target))
            elif entry.stat.st_nlink > 1 and not trusted:
                shared.append((entry.path, entry.stat))
            else:
                os.chmod(entry.name, read_only(entry.stat.st_mode), dir_fd=entry.folder)
    _own_shared(root, shared, lent)
    for path, real in linked:
        place = os.path.join(root, path)
        os.unlink(place)
        link_or_copy(real, place)
    return total


def _own_shared(root: str, files: Sequence[tuple[str, os.stat_result]], lent: Sequence[str]) -> None:
    """As `own_tree`, for files below `root` (with what was seen of them) that have several names."""
    names = Counter(_identity(seen) for _, seen in files)
    stored = _files_of(lent) if files else frozenset[tuple[int, int]]()
    copies: dict[tuple[int, int], str] = {}
    for path, seen in files:
        place = os.path.join(root, path)
        key = _identity(seen)
        if key in stored:
            continue
        if names[key] == seen.st_nlink:  # all in here
            os.chmod(place, read_only(seen.st_mode))
            continue
        beside = os.path.join(root, f".rain-{secrets.token_hex(8)}")
        try:
            if key in copies:
                os.link(copies[key], beside)
            else:
                copy_file(place, beside, read_only(seen.st_mode))
                os.utime(beside, ns=(seen.st_atime_ns, seen.st_mtime_ns))
            os.replace(beside, place)
        except BaseException:
            _unlink(beside)
            raise
        copies.setdefault(key, place)


def _identity(seen: os.stat_result) -> tuple[int, int]:
    return seen.st_dev, seen.st_ino


def _files_of(paths: Sequence[str]) -> frozenset[tuple[int, int]]:
    """Device and inode of each file that is at or below one of `paths`."""
    found: set[tuple[int, int]] = set()
    for path in paths:
        if os.path.isdir(path):
            found.update(_identity(entry.stat) for entry in walk(path) if entry.kind == "f")
        elif os.path.exists(path):
            found.add(_identity(os.stat(path)))
    return frozenset(found)


def read_only(mode: int) -> int:
    """The permissions of a stored file that had `mode`."""
    return 0o555 if mode & 0o100 else 0o444


def link_or_copy(source: str, target: str) -> None:
    """`target` becomes a hard link of the read-only file `source`, or a read-only copy on another file system."""
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target, read_only(os.stat(source).st_mode))


def move(source: str, target: str) -> None:
    """Move a file or directory to the new path `target`, across file systems if it must be. Links stay as they are.

    Raises
    ------
    RainException
        If the disk is full, or there are pipes, devices or the like; `source` is as it was then.
    FileExistsError
        If `target` exists.
    """
    if os.path.lexists(target):
        raise FileExistsError(f"{target} exists")
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    seen = os.lstat(source)
    if stat.S_ISDIR(seen.st_mode):
        copy_tree(source, target, check_links=False)
        remove_tree(source)
        return
    if stat.S_ISLNK(seen.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        copy_file(source, target, stat.S_IMODE(seen.st_mode))
    os.unlink(source)


def exchange(first: str, second: str) -> None:
    """Swap what two paths on one file system name, in one step.

    Raises
    ------
    OSError
        If the file system cannot do that.
    """
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    at_cwd, swap = -100, 2
    if renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), swap):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), second)


def remove_any(path: str) -> None:
    """Remove a file, link or directory; gone already is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        remove_tree(path)


def remove_tree(path: str) -> None:
    """Remove a directory with all that is in it, also what its owner made unreadable; gone already is fine.

    What is mounted in it stays, with the folders above: it belongs to somebody else. Of a link only itself goes.
    """
    if os.path.islink(path):
        _unlink(path)
        return
    try:
        folder = _open_to_empty(path, None)
    except OSError:
        return
    mount = _mount_of(folder)
    try:
        while _empty(folder, mount, folder, 0):
            pass
        os.rmdir(path)
    except OSError:
        pass
    finally:
        os.close(folder)


def _open_to_empty(name: str, parent: int | None) -> int:
    """A descriptor of a folder in which its owner may remove things."""
    try:
        folder = os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    except PermissionError:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            raise
        os.chmod(name, 0o700, dir_fd=parent)
        folder = os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    mode = os.fstat(folder).st_mode
    if mode & 0o700 != 0o700:
        try:
            os.fchmod(folder, stat.S_IMODE(mode) | 0o700)
        except OSError:
            pass  # then what is in it says so
    return folder


def _mount_of(folder: int) -> tuple[int, bytes]:
    """Tells mounts apart, also several of one file system."""
    try:
        with open(f"/proc/self/fdinfo/{folder}", "rb", buffering=0) as file:
            number = file.read(256).partition(b"mnt_id:")[2].partition(b"\n")[0]
    except OSError:
        number = b""
    return os.fstat(folder).st_dev, number


def _empty(folder: int, mount: tuple[int, bytes], root: int, depth: int) -> bool:
    """Remove what is in a folder; whether something from too deep below was brought up into `root` instead."""
    brought = False
    with os.scandir(folder) as entries:
        inner = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_dir in inner:
        try:
            if not is_dir:
                os.unlink(name, dir_fd=folder)
                continue
            below = _open_to_empty(name, folder)
            try:
                if _mount_of(below) != mount:
                    continue
                if depth >= _EMPTIED_DEPTH_MAX:
                    os.rename(name, f"deep-{os.fstat(below).st_ino}", src_dir_fd=folder, dst_dir_fd=root)
                    brought = True
                    continue
                brought |= _empty(below, mount, root, depth + 1)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=folder)
        except OSError:
            continue
    return brought
