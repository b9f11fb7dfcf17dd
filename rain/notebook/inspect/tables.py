"""What all tables have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rain.common.errors import RainException
from rain.notebook.inspect.limits import CELL_CHARS, TABLE_COLUMNS_MAX
from rain.notebook.inspect.safe import cut, number_text

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


def table(
    columns: Iterable[tuple[str, str]],
    rows: Sequence[Sequence[Any]],
    *,
    offset: int,
    total: int | None,
    index: Sequence[Any] | None = None,
    summary: Iterable[tuple[str, Any]] = (),
) -> dict[str, Any]:
    """The page of a table.

    Parameters
    ----------
    columns : iterable of (name, dtype)
        More than `TABLE_COLUMNS_MAX` are cut, as are the rows; the summary says so then.
    rows : sequence of sequences
    offset : int
        The first row's number.
    total : int or None
        How many rows there are in all, where that is known.
    index : sequence or None
        The rows' labels; their numbers by default.
    summary : iterable of (name, value)
    """
    named = list(columns)
    facts = [[name, cell(value)] for name, value in summary]
    if len(named) > TABLE_COLUMNS_MAX:
        facts.append(["columns shown", f"the first {TABLE_COLUMNS_MAX}"])
    return {
        "columns": [{"name": cut(name), "dtype": cut(dtype)} for name, dtype in named[:TABLE_COLUMNS_MAX]],
        "index": [cell(label) for label in (index if index is not None else range(offset, offset + len(rows)))],
        "rows": [[cell(value) for value in row[:TABLE_COLUMNS_MAX]] for row in rows],
        "offset": offset,
        "total": total,
        "summary": facts,
    }
