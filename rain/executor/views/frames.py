"""Previews of tables and their columns: pandas, polars, Arrow."""

from __future__ import annotations

import sys
from typing import Any

from rain.common.protocol.previews import Head, Preview
from rain.executor.views.arrays import COLUMNS, ROWS, histogram_of
from rain.executor.views.texts import bytes_text, short_text, type_text


def frame_preview(value: Any) -> Preview | None:
    """None for what is no table; their packages are loaded if the value is one."""
    pandas, polars, arrow = (sys.modules.get(name) for name in ("pandas", "polars", "pyarrow"))
    if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
        return _of_pandas(pandas, value)
    if polars is not None and isinstance(value, polars.DataFrame | polars.Series):
        return _of_polars(polars, value)
    if arrow is not None and isinstance(value, arrow.Table | arrow.RecordBatch | arrow.ChunkedArray | arrow.Array):
        return _of_arrow(arrow, value)
    return None


def _head(names: list[Any], types: list[Any], columns: list[list[Any]], index: list[Any] | None = None) -> Head:
    count = len(columns[0]) if columns else 0
    labels = list(range(count)) if index is None else index
    return Head(
        [(short_text(name), short_text(str(kind))) for name, kind in zip(names, types, strict=True)],
        list(map(short_text, labels)),
        [list(map(short_text, row)) for row in zip(*columns, strict=True)],
    )


def _rows(count: int, width: int | None = None) -> tuple[str, str]:
    return ("rows", f"{count:,}") if width is None else ("shape", f"{count:,} rows x {width:,} columns")


def _of_pandas(pandas: Any, value: Any) -> Preview:
    kind = type_text(type(value))
    if isinstance(value, pandas.DataFrame):
        shown = value.iloc[:ROWS, :COLUMNS]
        columns = [shown.iloc[:, at].tolist() for at in range(shown.shape[1])]
        head = _head(list(shown.columns), list(shown.dtypes), columns, shown.index.tolist())
        facts = [_rows(*value.shape), ("memory", bytes_text(value.memory_usage(deep=False).sum()))]
        return Preview(type=kind, summary=[*facts, ("index", type(value.index).__name__)], head=head)
    index = value.index[:ROWS].tolist() if isinstance(value, pandas.Series) else None
    head = _head([value.name], [value.dtype], [value[:ROWS].tolist()], index)
    numbers = value.to_numpy() if getattr(value.dtype, "kind", "O") in "iuf" else None
    histogram = None if numbers is None or numbers.dtype == object else histogram_of(numbers)
    facts = [_rows(len(value)), ("dtype", str(value.dtype))]
    return Preview(type=kind, summary=facts, head=head, histogram=histogram)


def _of_polars(polars: Any, value: Any) -> Preview:
    kind = type_text(type(value))
    if isinstance(value, polars.DataFrame):
        names = value.columns[:COLUMNS]
        columns = [value.get_column(name)[:ROWS].to_list() for name in names]
        head = _head(names, value.dtypes[:COLUMNS], columns)
        facts = [_rows(value.height, value.width), ("memory", bytes_text(value.estimated_size()))]
        return Preview(type=kind, summary=facts, head=head)
    head = _head([value.name], [value.dtype], [value[:ROWS].to_list()])
    numbers = value.dtype.is_numeric() and not value.null_count()
    histogram = histogram_of(value.to_numpy()) if numbers and "numpy" in sys.modules else None
    return Preview(type=kind, summary=[_rows(len(value)), ("dtype", str(value.dtype))], head=head, histogram=histogram)


def _of_arrow(arrow: Any, value: Any) -> Preview:
    kind = type_text(type(value))
    memory = ("memory", bytes_text(value.nbytes))
    if isinstance(value, arrow.Table | arrow.RecordBatch):
        shown = value.slice(0, ROWS)
        width = min(value.num_columns, COLUMNS)
        columns = [shown.column(at).to_pylist() for at in range(width)]
        head = _head(value.schema.names[:width], value.schema.types[:width], columns)
        return Preview(type=kind, summary=[_rows(value.num_rows, value.num_columns), memory], head=head)
    head = _head(["value"], [value.type], [value.slice(0, ROWS).to_pylist()])
    return Preview(type=kind, summary=[_rows(len(value)), ("type", str(value.type)), memory], head=head)
