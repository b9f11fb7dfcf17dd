"""Where symbolic links inside a directory lead, and whether a path lies in a folder; by text, without the file system.

The caller reads what a link says, from a directory or from an archive.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rain.common.errors import RainException

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LINKS_FOLLOWED_MAX = 40  # as the kernel: beyond, following fails with ELOOP


class LinkLoop(RainException):
    """Links that lead to each other, so that they lead nowhere."""


def resolve(folder: Sequence[str], target: str, read_link: Callable[[str], str | None]) -> list[str] | None:
    """Where a symbolic link leads.

    Parameters
    ----------
    folder : sequence of str
        The folder in which the link lies, as components below the root.
    target : str
        What the link says.
    read_link : callable
        ``read_link(path)`` gives what the link at `path` (below the root) says, or None if there is no link.

    Returns
    -------
    list of str or None
        Components below the root, without links among them; None if it leads outside.

    Raises
    ------
    LinkLoop
        If more links are on the way than the kernel would follow.

    Examples
    --------
    >>> resolve(["a"], "../b/c", {"b": "d"}.get)
    ['d', 'c']
    >>> resolve(["a"], "../../etc", {}.get) is None
    True
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
    """Whether a link leads to a path below the root; the parameters are those of `resolve`.

    Links that lead to each other stay inside: the kernel refuses to follow them.
    """
    try:
        return resolve(folder, target, read_link) is not None
    except LinkLoop:
        return True


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it, as they are written."""
    return path == folder or path.startswith(f"{folder}/")


def is_inside(path: str, folders: frozenset[str]) -> bool:
    """Whether `path` is one of `folders` or below one, as they are written."""
    while path not in folders:
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return True
