"""An exception of user code, as its user shall read it at the client."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping

from rain.common.errors import RainException
from rain.common.formatting import shorten
from rain.common.limits import MIB
from rain.common.spec import TaskError
from rain.executor.python.space import note_room
from rain.host.signals import signal_of
from rain.objects.pickling import buffers

_RAIN_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_RUNNERS = (
    os.path.join("asyncio", "runners.py"),
    os.path.join("asyncio", "base_events.py"),
    os.path.join("cloudpickle", "cloudpickle.py"),
)
"""Files whose frames lie between our own and those of the user: of async functions, and of what is unpickled."""

EXCEPTION_BYTES_MAX = 1 * MIB
"""A pickled exception larger than this stays here; its text travels."""


def describe(error: BaseException, shown: Mapping[str, str], kind: str = "exception") -> TaskError:
    """What is told of `error`.

    Parameters
    ----------
    error : BaseException
    shown : mapping of str to str
        File names that are shown as something else (``"Cell In[3]"``).
    kind : str
        `TaskError.kind`.

    Returns
    -------
    TaskError
        With the traceback as text, the pickled exception where it can be pickled, and the names of its classes. Where
        Rain itself complains and no code of the user is involved, with the complaint alone and of kind ``"rain"``.
    """
    if isinstance(error, RainException) and not _is_from_user(error):
        return TaskError("rain", shorten(str(error)), _pickled(error), class_names(type(error)))
    note_room(error)
    text, classes = shorten(traceback_text(error, shown)), class_names(type(error))
    return TaskError(kind, text, _pickled(error), classes, signal=_signal(error, classes))


def _signal(error: BaseException, classes: list[str]) -> int:
    """The signal that ended the command of which `error` tells, if it does."""
    if "subprocess.CalledProcessError" not in classes:
        return 0
    status = getattr(error, "returncode", None)
    return signal_of(status) if isinstance(status, int) else 0


def class_names(kind: type[BaseException]) -> list[str]:
    """Qualified names of `kind` and its bases; those of builtin classes also without the module."""
    names = []
    for base in kind.__mro__:
        if base is object:
            continue
        names.append(f"{base.__module__}.{base.__qualname__}")
        if base.__module__ == "builtins":
            names.append(base.__qualname__)
    return names


def traceback_text(error: BaseException, shown: Mapping[str, str]) -> str:
    """The traceback without Rain's own frames, causes included, as the interpreter would print it."""
    try:
        whole = traceback.TracebackException(type(error), error, error.__traceback__)
        for part in _chain(whole):
            _keep_user_frames(part)
        text = "".join(whole.format()).rstrip("\n")
    except Exception as broken:  # an exception class of the user whose own methods fail
        return f"{type(error).__qualname__} (its traceback cannot be formatted: {type(broken).__name__})"
    for file_name, name in shown.items():
        text = text.replace(f'  File "{file_name}", line ', f"  {name}, line ")
    return text


def _is_from_user(error: BaseException) -> bool:
    return any(
        not frame.f_code.co_filename.startswith(_RAIN_FOLDER) for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _chain(whole: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """`whole` and all its causes, contexts and members of groups; each once."""
    waiting, seen = [whole], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        waiting += [
            other for other in (part.__cause__, part.__context__, *(part.exceptions or ())) if other is not None
        ]


def _keep_user_frames(part: traceback.TracebackException) -> None:
    stack = part.stack
    ours = [frame.filename.startswith(_RAIN_FOLDER) for frame in stack]
    if ours and ours[0]:
        for number, frame in enumerate(stack):
            if not ours[number] and not frame.filename.endswith(_RUNNERS):
                break
            ours[number] = True
    stack[:] = [frame for frame, mine in zip(stack, ours, strict=True) if not mine]


def _pickled(error: BaseException) -> bytes | None:
    try:
        data = buffers.dumps(error, cloud=True)
    except BaseException:  # whatever the user's __reduce__ does
        return None
    return data if len(data) <= EXCEPTION_BYTES_MAX else None
