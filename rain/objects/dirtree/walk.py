"""The walk: everything below a directory, over descriptors of its folders."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from rain.common.errors import RainException
from rain.common.limits import ARCHIVE_BYTES_MAX, ARCHIVE_DEPTH_MAX, ARCHIVE_ENTRIES_MAX, OPEN_FOLDERS_MAX
from rain.host.descriptors import opened
from rain.objects.dirtree.links import is_inside, link_stays_inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Limits(NamedTuple):
    """Bounds of a directory or archive."""

    entries: int = ARCHIVE_ENTRIES_MAX
    depth: int = ARCHIVE_DEPTH_MAX
    bytes: int = ARCHIVE_BYTES_MAX


class Entry(NamedTuple):
    """A file, folder or symbolic link below a directory.

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
    """A descriptor of a directory; as a component below `parent` it must not be a link.

    Raises
    ------
    OSError
        If it is no directory, or may not be read.
    """
    return opened(os.open, path, FOLDER_FLAGS if parent is None else FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)


def open_below(top: int, parts: Sequence[str]) -> int:
    """A descriptor for reading what the components `parts` lead to below the folder `top`; none may be a link.

    Raises
    ------
    OSError
    """
    fd = opened(os.dup, top)
    try:
        for number, part in enumerate(parts, 1):
            flags = READ_FLAGS if number == len(parts) else READ_FLAGS | os.O_DIRECTORY
            inner = opened(os.open, part, flags, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


class Descent:
    """The folders from a top one down to the present one, of which `OPEN_FOLDERS_MAX` (and the top) are open.

    A folder that was closed is opened again as the parent (``..``) of the folder that is left, and must then be the
    same as before.

    Parameters
    ----------
    top : int
        A descriptor, which `close` closes.

    Attributes
    ----------
    top : int
        Descriptor of the top folder, open until `close`.
    folder : int
        Descriptor of the present folder, open until it is left.
    """

    def __init__(self, top: int) -> None:
        self.top = self.folder = top
        self._above: list[tuple[int, tuple[int, int]]] = []  # of each folder above: descriptor or -1, device and inode

    @property
    def depth(self) -> int:
        """How many folders the present one lies below the top."""
        return len(self._above)

    def enter(self, folder: int) -> None:
        """Go down to `folder`, a descriptor of a folder in the present one."""
        seen = os.fstat(self.folder)
        self._above.append((self.folder, (seen.st_dev, seen.st_ino)))
        self.folder = folder
        number = len(self._above) - OPEN_FOLDERS_MAX
        if number > 0:
            far, identity = self._above[number]
            if far >= 0:  # else it was closed on the way to a neighbour of this folder
                os.close(far)
                self._above[number] = (-1, identity)

    def leave(self) -> None:
        """Go up to the folder in which the present one lies.

        Raises
        ------
        OSError
            If a folder was moved meanwhile.
        """
        above, identity = self._above[-1]
        if above < 0:
            above = open_folder("..", self.folder)
            seen = os.fstat(above)
            if (seen.st_dev, seen.st_ino) != identity:
                os.close(above)
                raise OSError(errno.ESTALE, "a folder was moved while the directory was walked")
        self._above.pop()
        os.close(self.folder)
        self.folder = above

    def close(self) -> None:
        """Close all descriptors; idempotent."""
        if self.folder >= 0:
            for fd in {self.top, self.folder, *(fd for fd, _ in self._above)} - {-1}:
                os.close(fd)
            self.top = self.folder = -1
            self._above.clear()


def walk(
    root: str, limits: Limits | None = None, *, follow: Sequence[str] = (), check_links: bool = True
) -> Iterator[Entry]:
    """Everything below `root`, folders before what is in them, in the order of names. Links are not followed.

    Parameters
    ----------
    root : str
    limits : Limits or None
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
        If something cannot be read, or a folder is moved meanwhile.

    Examples
    --------
    >>> [(entry.path, entry.kind) for entry in walk("/sys/kernel/mm/ksm")][:1]  # doctest: +SKIP
    [('advisor_max_cpu', 'f')]
    """
    return _Walk(root, limits or Limits(), frozenset(follow), check_links).entries()


class _Walk:
    """One walk; the parameters are those of `walk`."""

    def __init__(self, root: str, limits: Limits, follow: frozenset[str], check_links: bool) -> None:
        self._root = root
        self._limits = limits
        self._follow = follow
        self._check_links = check_links

    def entries(self) -> Iterator[Entry]:
        limits = self._limits
        descent = self._descent = Descent(open_folder(self._root))
        count = size = 0
        try:
            # Of each folder down to the present one: its path with a slash, and the names left in it, in reverse.
            stack = [("", sorted(os.listdir(descent.folder), reverse=True))]
            while True:
                prefix, names = stack[-1]
                if names:
                    name = names.pop()
                    count += 1
                    if count > limits.entries:
                        raise self._over(f"has more than {limits.entries} entries (ARCHIVE_ENTRIES_MAX)")
                    seen = os.stat(name, dir_fd=descent.folder, follow_symlinks=False)
                    if stat.S_ISREG(seen.st_mode):  # the most frequent kind
                        entry = Entry(prefix + name, name, "f", seen, descent.folder)
                    else:
                        entry = self._other(prefix + name, name, seen, descent.folder)
                    if entry.kind == "f":
                        size += entry.stat.st_size
                        if size > limits.bytes:
                            raise self._over(f"has more than {limits.bytes} bytes (ARCHIVE_BYTES_MAX)")
                        yield entry
                    elif entry.kind == "l":
                        yield entry
                    elif descent.depth >= limits.depth:
                        raise self._over(f"is deeper than {limits.depth} folders (ARCHIVE_DEPTH_MAX)")
                    else:
                        yield entry
                        descent.enter(open_folder(name, descent.folder))
                        stack.append((entry.path + "/", sorted(os.listdir(descent.folder), reverse=True)))
                elif len(stack) == 1:
                    return
                else:
                    stack.pop()
                    descent.leave()
        finally:
            descent.close()

    def _over(self, limit: str) -> RainException:
        return RainException(f"{self._root} {limit}")

    def _other(self, path: str, name: str, seen: os.stat_result, folder: int) -> Entry:
        """What is not a regular file."""
        if stat.S_ISDIR(seen.st_mode):
            return Entry(path, name, "d", seen, folder)
        if stat.S_ISLNK(seen.st_mode):
            return self._link(path, name, seen, folder)
        raise RainException(f"{os.path.join(self._root, path)} is neither a file, a folder nor a link")

    def _link(self, path: str, name: str, seen: os.stat_result, folder: int) -> Entry:
        target = os.readlink(name, dir_fd=folder)
        if self._follow:
            real = os.path.realpath(os.path.join(self._root, path))
            if is_inside(real, self._follow) and os.path.isfile(real):
                return Entry(path, name, "f", os.stat(real), folder, real)
        if self._check_links and not link_stays_inside(path.split("/")[:-1], target, self._read_link):
            raise RainException(
                f"{os.path.join(self._root, path)} is a link to {target!r}, which leads outside of the directory; "
                "put the file itself there"
            )
        return Entry(path, name, "l", seen, folder, target)

    def _read_link(self, path: str) -> str | None:
        try:
            return os.readlink(path, dir_fd=self._descent.top)
        except OSError:
            return None
