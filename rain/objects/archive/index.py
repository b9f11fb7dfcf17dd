"""Finding files in a tar archive without unpacking it: of the archive only headers are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rain.common.limits import ARCHIVE_ENTRIES_MAX
from rain.objects.archive.headers import (
    BLOCK,
    FILE_TYPES,
    FOLDER,
    HARD_LINK,
    META_TYPES,
    SYMLINK,
    ArchiveError,
    ExtendedHeaders,
    Header,
    name_parts,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Node(NamedTuple):
    """A file, folder or link in an archive.

    Attributes
    ----------
    kind : str
        ``"f"``, ``"d"`` or ``"l"`` (a symbolic link), as of `rain.objects.dirtree.Entry`.
    offset : int
        Of a file's bytes in the archive.
    size : int
        Bytes of a file, else 0.
    target : str
        Of a link.
    """

    kind: str
    offset: int = 0
    size: int = 0
    target: str = ""


class TarIndex:
    """What is in a tar archive, and where; the archive is read when this is made.

    Parameters
    ----------
    read : callable
        ``read(offset, length) -> bytes`` of the archive.

    Attributes
    ----------
    nodes : dict of str to Node
        By path, with slashes; ``""`` is the top.
    names : dict of str to list of str
        Of each folder's path the names in it, sorted.

    Raises
    ------
    ArchiveError
        If the archive is damaged.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self.nodes: dict[str, Node] = {"": Node("d")}
        self.names: dict[str, list[str]] = {"": []}
        for entry, offset, extensions in self._headers():
            self._take(entry, offset, extensions)
            if len(self.nodes) > ARCHIVE_ENTRIES_MAX:
                raise ArchiveError(f"the archive has more than {ARCHIVE_ENTRIES_MAX} entries")
        for names in self.names.values():
            names.sort()

    def _headers(self) -> Iterator[tuple[Header, int, tuple[str, int, str]]]:
        """Each entry's header, the offset of its content, and its name, size and target."""
        at = 0
        extensions = ExtendedHeaders()
        while True:
            block = self._exactly(at, BLOCK)
            at += BLOCK
            if not block.strip(b"\0"):
                return
            entry = read_header(block)
            if entry.kind in META_TYPES:
                size = ExtendedHeaders.content_size(entry)
                extensions.take(entry.kind, self._exactly(at, size))
            else:
                name, size, target = extensions.apply(entry)
                if entry.kind not in FILE_TYPES or name.endswith("/"):
                    size = 0
                yield entry, at, (name, size, target)
            at += size + -size % BLOCK

    def _exactly(self, offset: int, length: int) -> bytes:
        data = self._read(offset, length)
        if len(data) < length:
            raise ArchiveError("the archive is cut off")
        return data

    def _take(self, entry: Header, offset: int, extended: tuple[str, int, str]) -> None:
        name, size, target = extended
        path = "/".join(name_parts(name))
        if entry.kind == FOLDER or name.endswith("/"):
            self._add(path, Node("d"))
        elif entry.kind in FILE_TYPES:
            self._add(path, Node("f", offset, size))
        elif entry.kind == SYMLINK:
            self._add(path, Node("l", target=target))
        elif entry.kind == HARD_LINK:
            linked = self.nodes.get("/".join(name_parts(target)))
            if linked is not None:
                self._add(path, linked)

    def _add(self, path: str, node: Node) -> None:
        while path not in self.nodes:
            self.nodes[path] = node
            if node.kind == "d":
                self.names.setdefault(path, [])
            folder, _, name = path.rpartition("/")
            if folder in self.names:
                self.names[folder].append(name)
                return
            self.names[folder] = [name]
            path, node = folder, Node("d")

    def read_link(self, path: str) -> str | None:
        """What the link at `path` says; None if there is no link. For `rain.objects.dirtree.resolve`."""
        node = self.nodes.get(path)
        return node.target if node is not None and node.kind == "l" else None
