"""`files`: many files of this machine as data objects, read when they are submitted."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rain.client.active_session import get_active_session
from rain.client.data import make_constant
from rain.client.operations.constant_values import FileValue, Value
from rain.common.errors import RainException
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.suggestions.keywords import suggesting
from rain.objects.content_types.registry import check_content_type

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.session import Session

_PATTERN = frozenset("*?[")


@suggesting
def files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    content_type: str | None = None,
    session: Session | None = None,
) -> list[DataObject]:
    """Files of this machine as constant objects, without reading them: their bytes are mapped when they are submitted.

    Parameters
    ----------
    paths : str, os.PathLike or iterable of them
        Patterns (``"night1/*.fits"``, ``"**/*.csv"``) or names, of this machine; relative ones begin at the current
        folder of this process.
    content_type : str, optional
        What they hold; without one tasks get bytes.
    session : Session, optional
        The active one if not given.

    Returns
    -------
    list of DataObject
        By pattern in the order given, by name within each. The label of each is its path as the pattern gave it.

    Raises
    ------
    RainException
        If a pattern finds nothing or a file is not there (the text names the folder in which it was looked for), or one
        is a folder.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with client.new_session("files") as session, tempfile.TemporaryDirectory() as folder:
    ...     for number in range(3):
    ...         _ = pathlib.Path(folder, f"{number}.txt").write_text("words " * number)
    ...     texts = files(f"{folder}/*.txt", content_type="text")
    ...     [len(text.split()) for text in session.run(texts)]
    [0, 1, 2]
    """
    kind = check_content_type(content_type)
    owner = get_active_session() if session is None else session
    return [_object(path, kind, owner) for one in _each(paths) for path in _found(one)]


def _each(paths: Any) -> list[str]:
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    try:
        each = [os.fspath(one) for one in given]
    except TypeError:
        raise RainException(f"files(): a path or pattern, or an iterable of them, is expected, not {paths!r}") from None
    for path in each:
        if not isinstance(path, str):
            raise RainException(f"files(): a path is a str or os.PathLike, not {path!r}")
    return each


def _found(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, recursive=True))
    if os.path.lexists(pattern) or not _PATTERN.intersection(pattern):  # a name may hold brackets
        found = [pattern]
    found = [path for path in found if not os.path.isdir(path) or path == pattern]
    if not found:
        raise RainException(f"files({pattern!r}): there is no such file{_place(pattern)}")
    return found


def _place(path: str) -> str:
    return "" if os.path.isabs(path) else f" in {os.getcwd()}, the current folder of this process"


def _object(path: str, content_type: str | None, session: Session) -> DataObject:
    try:
        value: Value = FileValue(path)
        if value.size <= INLINE_BYTES_MAX:
            value = Value(value.get_bytes(), value.size)
    except IsADirectoryError:
        raise RainException(f"files({path!r}): this is a folder; use directory(path)") from None
    except OSError as error:
        raise RainException(f"files({path!r}){_place(path)}: {error.strerror or error}") from None
    return make_constant(session, path, content_type, value)
