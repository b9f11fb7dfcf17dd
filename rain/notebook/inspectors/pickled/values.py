"""The value of a pickle, which is loaded here, in the notebook's kernel, because the user asked for it.

Whatever the value's own code raises, at loading or in its `repr`, is said and does no further harm.
"""

from __future__ import annotations

import math
import pprint
import sys
from collections.abc import Sequence
from typing import Any

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import TABLE_PAGE_ROWS, VALUE_BYTES_MAX, VALUE_TEXT_CHARS
from rain.notebook.inspectors.sanitize import CUT, clean, cut
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.inspectors.tables import shown_columns, table
from rain.notebook.protocol.data import TablePage, ValuePage
from rain.notebook.protocol.requests import Inspect

_PRETTY_ITEMS_MAX = 1000
"""Containers with more items are not laid out over lines, which takes long."""
_REPR_ITEMS_MAX = 100_000


class ValueViewer:
    """The value, as table or text."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._loaded: list[Any] = []

    def page(self, asked: Inspect) -> PageWithBuffers:
        if not self._loaded:
            self._loaded.append(self._load())
        value = self._loaded[0]
        kind = type(value)
        name = cut(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        try:
            page = _as_table(value, asked.offset, asked.column)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RainException(f"the {name} cannot be shown: {cut(_what(error))}") from None
        return ValuePage(type=name, table=page, text=text_of(value) if page is None else ""), []

    def _load(self) -> Any:
        from rain.objects.content_types import codecs
        from rain.objects.pickling import buffers

        subject = self._subject
        size = subject.ranges.size
        if size > VALUE_BYTES_MAX:
            mapped = buffers.large_buffers(subject.reader.buffer()) if subject.reader.path() is not None else 0
            if not mapped:
                limit = f"VALUE_BYTES_MAX, {size_text(VALUE_BYTES_MAX)}"
                raise RainException(
                    f"the value has {size_text(size)}, more than is loaded for a look ({limit}); load() it yourself"
                )
        content_type = subject.content_type if subject.content_type == "cloudpickle" else "pickle"
        try:
            return codecs.decode_value(subject.reader.buffer(), content_type)
        except (RainException, KeyboardInterrupt):
            raise
        except BaseException as error:  # a pickle can call anything, sys.exit too
            raise RainException(f"the value cannot be loaded: {cut(_what(error))}") from None


def _what(error: BaseException) -> str:
    """An exception in words; its own may raise again."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def text_of(value: Any) -> str:
    """A `repr` of bounded length; what is raised in it is said."""
    try:
        if isinstance(value, str | bytes | bytearray) and len(value) > VALUE_TEXT_CHARS:
            text = repr(value[:VALUE_TEXT_CHARS])
        elif type(value) in (list, tuple, dict, set, frozenset) and len(value) > _REPR_ITEMS_MAX:
            items = list(value.items() if type(value) is dict else value)[:_REPR_ITEMS_MAX]
            text = f"{len(value):,} items, of which the first are\n{items!r}"
        elif type(value) in (list, tuple, dict, set, frozenset) and len(value) <= _PRETTY_ITEMS_MAX:
            text = pprint.pformat(value, width=100, compact=True, sort_dicts=False)
        else:
            text = repr(value)
        return clean(text) if len(text) <= VALUE_TEXT_CHARS else clean(text[:VALUE_TEXT_CHARS]) + CUT
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return cut(f"its repr raises {_what(error)}")


def _as_table(value: Any, offset: int, column: int) -> TablePage | None:
    """The page of a value that is a table. Types are only known if their package was loaded, as by unpickling."""
    pandas, numpy, arrow = (sys.modules.get(name) for name in ("pandas", "numpy", "pyarrow"))
    if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series):
        return _frame(value.to_frame() if isinstance(value, pandas.Series) else value, offset, column)
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _array(value, offset, column)
    if arrow is not None and isinstance(value, arrow.Table | arrow.RecordBatch):
        return _arrow(value, offset, column)
    return None


def _page(
    names: Sequence[tuple[str, str]], columns: Sequence[Sequence[Any]], count: int, part: slice, **facts: Any
) -> TablePage:
    """The page of a table that is there by columns, `count` rows of it."""
    rows = [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(count)]
    return table(names, rows, column=part.start, **facts)


def _frame(frame: Any, offset: int, column: int) -> TablePage:
    offset = min(offset, len(frame))
    part = shown_columns(column, frame.shape[1])
    shown = frame.iloc[offset : offset + TABLE_PAGE_ROWS, part]
    columns = [shown.iloc[:, at].tolist() for at in range(shown.shape[1])]
    names = list(zip(map(str, shown.columns), map(str, shown.dtypes), strict=True))
    summary = [
        ("shape", f"{len(frame):,} x {frame.shape[1]:,}"),
        ("memory", size_text(int(frame.memory_usage().sum()))),
        ("index", type(frame.index).__name__),
    ]
    facts: dict[str, Any] = {"offset": offset, "total": len(frame), "width": frame.shape[1]}
    return _page(names, columns, len(shown), part, index=shown.index.tolist(), summary=summary, **facts)


def _array(array: Any, offset: int, column: int) -> TablePage:
    summary: list[tuple[str, Any]] = [
        ("shape", " x ".join(map(str, array.shape)) or "a single value"),
        ("dtype", array.dtype),
        ("memory", size_text(array.nbytes)),
    ]
    rows = array.reshape(1) if array.ndim == 0 else array
    offset = min(offset, len(rows))
    shown = rows[offset : offset + TABLE_PAGE_ROWS]
    fields = array.dtype.names if rows.ndim == 1 else None
    width = len(fields) if fields else math.prod(rows.shape[1:])
    part = shown_columns(column, width)
    if fields:
        values = [[row[name] for name in fields[part]] for row in shown]
        names = [(name, str(array.dtype[name])) for name in fields[part]]
    else:
        values = [list(row.flat[part]) if rows.ndim > 1 else [row][part] for row in shown]
        names = [("value" if rows.ndim == 1 else str(at), str(array.dtype)) for at in range(part.start, part.stop)]
    return table(names, values, offset=offset, total=len(rows), column=part.start, width=width, summary=summary)


def _arrow(value: Any, offset: int, column: int) -> TablePage:
    offset = min(offset, value.num_rows)
    part = shown_columns(column, value.num_columns)
    shown = value.slice(offset, TABLE_PAGE_ROWS)
    columns = [shown.column(at).to_pylist() for at in range(part.start, part.stop)]
    names = [(value.schema.names[at], str(value.schema.types[at])) for at in range(part.start, part.stop)]
    summary = [("shape", f"{value.num_rows:,} x {value.num_columns:,}"), ("memory", size_text(value.nbytes))]
    facts: dict[str, Any] = {"offset": offset, "total": value.num_rows, "width": value.num_columns}
    return _page(names, columns, shown.num_rows, part, summary=summary, **facts)
