"""Messages that are too large for a frame, in parts that say the same.

Most messages are lists, of events or of requests: two messages, one after the other, say the same as one with both
lists. So are messages about consecutive members of a family. A message that is the answer to one request is no such
list: the code that makes it keeps it small enough.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.protocol import messages as m
from rain.common.protocol.families import halves_of

_LISTS: dict[type, tuple[str, ...]] = {
    m.Assign: ("objects", "families", "tasks"),
    m.CancelTasks: ("tasks",),
    m.CopyObjects: ("objects",),
    m.DropObjects: ("objects",),
    m.Dropped: ("objects",),
    m.Fetched: ("objects",),
    m.Finished: ("results", "families"),
    m.GaveBack: ("tasks",),
    m.InputsMissing: ("tasks",),
    m.LibrariesThere: ("governors",),
    m.Moved: ("objects",),
    m.NotCopied: ("objects",),
    m.ObjectsLost: ("objects",),
    m.Progressed: ("tasks",),
    m.SessionUpdate: ("families", "objects", "tasks"),
    m.Started: ("tasks",),
    m.Stopped: ("tasks",),
}
"""Fields that may be cut, in the order in which they have to arrive."""


def halves(message: Any) -> tuple[Any, Any] | None:
    """Two messages that together say what `message` says; None if it cannot be cut.

    Examples
    --------
    >>> halves(m.Fetched([(1, 1), (1, 2), (1, 3)]))
    (Fetched(objects=[(1, 1)]), Fetched(objects=[(1, 2), (1, 3)]))
    >>> halves(m.Fetched([(1, 1)])), halves(m.Goodbye())
    (None, None)
    """
    filled = [(name, part) for name in _LISTS.get(type(message), ()) if (part := getattr(message, name))]
    if not filled:
        return None
    name, part = filled[0]
    middle = len(part) if len(filled) > 1 else len(part) // 2
    if middle:
        before, behind = part[:middle], part[middle:]
    elif name == "families" and (cut := halves_of(part[0])) is not None:
        before, behind = [cut[0]], [cut[1]]
    else:
        return None
    first: dict[str, list[Any]] = {other: [] for other, _ in filled[1:]}
    return (
        msgspec.structs.replace(message, **{name: before}, **first),
        msgspec.structs.replace(message, **{name: behind}),
    )
