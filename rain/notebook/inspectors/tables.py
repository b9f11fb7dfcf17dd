"""What all tables have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rain.common.errors import RainException
from rain.notebook.inspectors.limits import CELL_CHARS, TABLE_COLUMNS_MAX
from rain.notebook.inspectors.sanitize import cut, number_text, visible
from rain.notebook.protocol.data import Column, TablePage

_BYTES_SHOWN_MAX = CELL_CHARS // 2


def needs(package: str) -> RainException:
    """What is raised where an optional package is missing."""
    return RainException(f"to show this as a table takes {package}: pip install 'rain[arrow]'")


def cell(value: Any) -> str:
    """A value of a table as text, of bounded length.

    Examples
    --------
    >>> cell(1.5), cell(None), cell("x" * 300)[-1]
    ('1.5', '', '…')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return cut(value)
    if type(value) in (int, float):
        return number_text(value)
    if isinstance(value, bytes):
        return value[:_BYTES_SHOWN_MAX].hex(" ") + ("…" if len(value) > _BYTES_SHOWN_MAX else "")
    if isinstance(value, list | tuple | dict) and len(value) > CELL_CHARS:
        return f"{type(value).__name__} of {len(value)} items"
    try:
        return cut(str(value))
    except Exception as error:
        return cut(f"({type(error).__name__} when shown)")


def shown_columns(column: int, width: int) -> slice:
    """Which of `width` columns are shown where those from `column` on were asked for.

    Examples
    --------
    >>> shown_columns(64, 100), shown_columns(500, 100)
    (slice(64, 100, None), slice(100, 100, None))
    """
    first = min(column, width)
    return slice(first, min(first + TABLE_COLUMNS_MAX, width))


def table(
    columns: Iterable[tuple[str, str]],
    rows: Sequence[Sequence[Any]],
    *,
    offset: int,
    total: int | None,
    column: int = 0,
    width: int | None = None,
    index: Sequence[Any] | None = None,
    summary: Iterable[tuple[str, Any]] = (),
) -> TablePage:
    """The page of a table.

    Parameters
    ----------
    columns : iterable of (name, dtype)
        Those that are shown, at most `TABLE_COLUMNS_MAX`. Names are made visible: they may hold anything.
    rows : sequence of sequences
        Of these columns.
    offset : int
        The first row's number.
    total : int or None
        How many rows there are in all, where that is known.
    column : int
        The number of the first one that is shown.
    width : int or None
        How many columns there are in all, if those are more.
    index : sequence or None
        The rows' labels; their numbers by default.
    summary : iterable of (name, value)
    """
    named = [Column(cut(visible(name)), cut(visible(dtype))) for name, dtype in columns]
    assert len(named) <= TABLE_COLUMNS_MAX
    labels = range(offset, offset + len(rows)) if index is None else index
    return TablePage(
        columns=named,
        column=column,
        width=len(named) if width is None else width,
        index=[visible(cell(label)) for label in labels],
        rows=[[cell(value) for value in row] for row in rows],
        offset=offset,
        total=total,
        summary=[(name, visible(cell(value))) for name, value in summary],
    )
