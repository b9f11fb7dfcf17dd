"""What a browser asks for, checked: it may be anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rain.common.errors import RainException
from rain.common.limits import ARCHIVE_DEPTH_MAX, ARCHIVE_NAME_BYTES_MAX
from rain.notebook.inspectors.limits import TREE_DEPTH_MAX
from rain.notebook.inspectors.sanitize import cut, unescape_name

_OFFSET_MAX = 1 << 62
_NAME_CHARS_MAX = 100


@dataclass(frozen=True)
class Parameters:
    """Of an `inspect` or `download` message.

    Attributes
    ----------
    path : tuple of str
        Names inside a directory, as the file system has them; empty for the object itself.
    view : str or None
        None asks for the best one.
    offset : int
    column : int
        The first one of a table that is shown.
    encoding : str or None
    at : tuple of int or str
        Steps to a node of a tree: positions, or keys.
    """

    path: tuple[str, ...] = ()
    view: str | None = None
    offset: int = 0
    column: int = 0
    encoding: str | None = None
    at: tuple[int | str, ...] = ()

    @classmethod
    def of(cls, raw: Any) -> Parameters:
        """From a message.

        Raises
        ------
        RainException
            If one of them is not what it should be.
        """
        if not isinstance(raw, dict):
            raise RainException(f"parameters are names and values, not {_shown(raw)}")
        return cls(
            path=_path(raw.get("path")),
            view=_name(raw, "view"),
            offset=_offset(raw, "offset"),
            column=_offset(raw, "column"),
            encoding=_name(raw, "encoding"),
            at=_steps(raw.get("at")),
        )


def _shown(value: Any) -> str:
    """Values of a message are JSON; their `repr` may be long, but is harmless."""
    if isinstance(value, str | bytes):
        return cut(repr(value[:200]), 80)
    if isinstance(value, bool | float | type(None)):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def _offset(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _OFFSET_MAX:
        raise RainException(f'"{key}" is a whole number from 0 on, not {_shown(value)}')
    return value


def _name(raw: dict[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _NAME_CHARS_MAX:
        raise RainException(f'"{key}" is a short name or null, not {_shown(value)}')
    return value


def _path(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise RainException(f'"path" is a list of names inside a directory, not {_shown(value)}')
    if len(value) > ARCHIVE_DEPTH_MAX + 1:
        raise RainException(f'"path" has {len(value)} names, over ARCHIVE_DEPTH_MAX ({ARCHIVE_DEPTH_MAX})')
    for name in value:
        if name in ("", ".", "..") or "/" in name or "\0" in name or len(name) > 4 * ARCHIVE_NAME_BYTES_MAX:
            raise RainException(f'{_shown(name)} in "path" is not a name of something inside a directory')
    return tuple(map(unescape_name, value))


def _steps(value: Any) -> tuple[int | str, ...]:
    if value is None:
        return ()
    good = isinstance(value, list | tuple) and all(
        isinstance(step, str) or (isinstance(step, int) and not isinstance(step, bool) and 0 <= step <= _OFFSET_MAX)
        for step in value
    )
    if not good:
        raise RainException(f'"at" is a list of positions of nodes, not {_shown(value)}')
    if len(value) > TREE_DEPTH_MAX:
        raise RainException(f"nodes deeper than {TREE_DEPTH_MAX} steps (TREE_DEPTH_MAX) are not shown; see the text")
    return tuple(value)
