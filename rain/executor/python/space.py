"""What the interpreter leaves out of "No space left on device": where, and how much is free there."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import traceback
from collections.abc import Iterator

from rain.objects.files import no_room

_ABOUT_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ERRORS_MAX = 10


def note_room(error: BaseException) -> None:
    """Add a note to each `OSError` among `error` and its causes that is about room: path, free space, limit.

    The error itself often names no file, as it was raised by a write to an open one. Then the files that the frames of
    its traceback hold are looked at, and the fullest place of these, the task's folder and the temporary folder is
    named.
    """
    for part in _chain(error):
        if not isinstance(part, OSError) or part.errno not in _ABOUT_ROOM:
            continue
        try:
            path = _named(part) or _fullest(part)
            found = no_room(part, path)
            if found is not None:
                part.add_note(str(found))
        except Exception:  # files of the user's making, whose methods may do anything
            continue


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting = [error]
    while waiting and len(seen) < _ERRORS_MAX:
        part = waiting.pop()
        if any(part is other for other in seen):
            continue
        seen.append(part)
        yield part
        waiting += [other for other in (part.__cause__, part.__context__) if other is not None]


def _named(error: OSError) -> str:
    """The path that the error names: where something was to be made."""
    name = error.filename2 or error.filename
    return os.path.abspath(os.fsdecode(name)) if isinstance(name, str | bytes) else ""


def _fullest(error: OSError) -> str:
    """Where there is the least room, of the places that the task probably wrote to; what it had open comes first."""
    opened = list(dict.fromkeys(_open_files(error)))
    if error.errno == errno.EFBIG:
        return opened[0] if opened else f"{os.getcwd()}/"
    places = [*opened, f"{os.getcwd()}/", f"{tempfile.gettempdir()}/"]
    return min(places, key=_free)


def _open_files(error: OSError) -> Iterator[str]:
    """Files in the variables of the frames that the error went through, the innermost first."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            if isinstance(value, io.IOBase) and isinstance(name := getattr(value, "name", None), str):
                yield os.path.abspath(name)


def _free(path: str) -> int:
    try:
        seen = os.statvfs(os.path.dirname(path))
    except OSError:
        return 1 << 62
    return seen.f_bavail * seen.f_frsize
