"""What is in a folder of a directory object, as an answer to one question; and where a path inside leads.

A path inside a directory object is relative, with slashes, ``""`` is the top. Links on the way are followed by text, as
long as they stay inside.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from rain.common.errors import RainException
from rain.common.limits import LISTING_ENTRIES_MAX
from rain.common.protocol.messages import Listed, Listing
from rain.objects import dirtree

if TYPE_CHECKING:
    from collections.abc import Callable

FILE, DIR, LINK = "file", "dir", "link"
KINDS = {"f": FILE, "d": DIR, "l": LINK}


class Entry(NamedTuple):
    """Something in a folder of a directory object.

    Attributes
    ----------
    name : str
    kind : str
        ``"file"``, ``"dir"`` or ``"link"`` (a symbolic one).
    size : int
        Bytes of a file, else 0.
    target : str
        Of a link.
    """

    name: str
    kind: str
    size: int = 0
    target: str = ""


class NotInside(RainException):
    """A path does not name what was asked for inside a directory object; it is the same at each of its replicas."""


def listed(name: str, kind: str, size: int, target: str) -> Listed:
    """One entry of a `Listing`."""
    return Listed(os.fsencode(name), kind, size, os.fsencode(target))


def page(names: list[str], offset: int, count: int | None) -> list[str]:
    """The names that one answer has: `count` from `offset` on, at most `LISTING_ENTRIES_MAX`."""
    start = max(offset, 0)
    return names[start : start + min(LISTING_ENTRIES_MAX if count is None else max(count, 0), LISTING_ENTRIES_MAX)]


def all_entries(
    look: Callable[[str, int, int | None], Listing], path: str, offset: int, count: int | None
) -> tuple[list[Entry], int]:
    """Entries of a folder, asked for in as many answers as it takes; and how many the folder has.

    Parameters
    ----------
    look : callable
        ``look(path, offset, count)``, as of `ObjectReader.look`.
    path, offset, count
        As of `ObjectReader.entries`.

    Raises
    ------
    NotInside
        If `path` is a file.
    """
    offset = max(offset, 0)
    found: list[Entry] = []
    while True:
        left = None if count is None else count - len(found)
        listing = look(path, offset + len(found), left)
        if listing.kind != DIR:
            raise NotInside(f"{path!r} is a file inside the directory, not a folder")
        answer = listing.entries
        found += [Entry(os.fsdecode(one.name), one.kind, one.size, os.fsdecode(one.target)) for one in answer]
        if len(answer) < LISTING_ENTRIES_MAX or len(found) == count or offset + len(found) >= listing.total:
            return found, listing.total


def size_of(listing: Listing, path: str) -> int:
    """The bytes of the file that `listing` is about.

    Raises
    ------
    NotInside
        If `path` is a folder.
    """
    if listing.kind != FILE:
        raise NotInside(f"{path!r} is a folder inside the directory, not a file")
    return listing.size


def resolved(path: str, read_link: Callable[[str], str | None]) -> list[str]:
    """The components of `path`, with links on the way followed; `read_link` as of `rain.objects.dirtree.resolve`.

    Raises
    ------
    NotInside
        If it leads outside.
    """
    if "\0" in path:
        raise NotInside(f"{path!r} is not a path: it contains a zero byte")
    try:
        parts = dirtree.resolve((), path, read_link)
    except dirtree.LinkLoop as error:
        raise NotInside(str(error)) from None
    if parts is None:
        raise NotInside(f"{path!r} leads outside of the directory, where nothing is read")
    return parts
