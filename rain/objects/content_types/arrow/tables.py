"""Content type ``arrow``: tables, record batches, arrays, data frames, lists and dicts of lists, as Arrow IPC files.

What the value was is noted in the schema's metadata, so that it comes back as that; a table is written as it is. The
file can be read by anything that reads Arrow (Feather version 2) files.

What Arrow would change is carried by the metadata too where that can be; the rest is refused when it is encoded. So
values that went in come back equal, with the same types, or do not go in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.objects.content_types.arrow import frames
from rain.objects.content_types.arrow.equality import refuse, same
from rain.objects.content_types.arrow.noted_tables import Noted, read_noted, write_noted
from rain.objects.content_types.arrow.views import WritableViews

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PLAIN_ITEMS = (
    (int, "int64"),
    (float, "double"),
    (str, "string"),
    (bytes, "binary"),
    (bool, "bool"),
)
"""Types of items, and the Arrow type that holds what it takes of them unchanged."""


def dump(value: Any, write: Callable[[Any], Any]) -> None:
    """Write `value` in pieces.

    Raises
    ------
    RainException
        If it is of none of the kinds that Arrow can hold, or would come back as something else.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise RainException('content type "arrow" needs pyarrow: pip install "rain[arrow]"') from None
    write_noted(pa, _to_table(pa, value), write)


def _to_table(pa: Any, value: Any) -> Noted:
    """The table that holds `value`, with what its reader has to know."""
    if isinstance(value, pa.Table):
        return Noted(value)
    if isinstance(value, pa.RecordBatch):
        return Noted(pa.Table.from_batches([value]), b"batch")
    if isinstance(value, pa.ChunkedArray):
        return Noted(pa.table([value], names=["value"]), b"chunked")
    if isinstance(value, pa.Array):
        return Noted(pa.table([value], names=["value"]), b"array")
    if type(value) is list:
        return Noted(pa.table([_of_list(pa, value)], names=["value"]), b"list")
    if type(value) is dict:
        if not all(isinstance(key, str) and isinstance(column, list) for key, column in value.items()):
            raise RainException(
                'content type "arrow" takes a dict only if its keys are str and its values are lists; use "pickle"'
            )
        arrays = [_of_list(pa, column, f"in {key!r} ") for key, column in value.items()]
        if len({len(array) for array in arrays}) > 1:
            raise RainException(
                'content type "arrow" takes a dict of lists only if these have one length; use "pickle"'
            )
        return Noted(pa.table(arrays, names=list(value)), b"dict")
    # None of these is imported here: a value of such a type means that it is loaded.
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return frames.to_table(pa, pandas, value)
    if numpy is not None and type(value) is numpy.ndarray and value.ndim == 1:
        return _of_ndarray(pa, numpy, value)
    if type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "__arrow_c_stream__"):
        return _of_polars(pa, value)
    raise RainException(
        f'content type "arrow" takes tables, record batches, arrays, data frames, polars frames and series, NumPy '
        f"arrays of one dimension, lists and dicts of lists, not {_name(value)}"
        f'{_advice(pandas, value)}; "pickle" takes more'
    )


def _name(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{name} of {value.ndim} dimensions" if name == "numpy.ndarray" else name


def _advice(pandas: Any, value: Any) -> str:
    if pandas is not None and isinstance(value, pandas.Series):
        return " (value.to_frame() is one)"
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__"):
        return " (pyarrow.table(value) is one, but comes back as such)"
    return ""


def load(data: Buffer) -> Any:
    """The value that `dump` (or another writer of Arrow files or streams) wrote, as views of `data` where possible.

    Arrays and the columns of data frames are writable if `data` is.

    Raises
    ------
    RainException
        If the library that the value is of is not installed here.
    """
    import pyarrow as pa

    table, kind, more = read_noted(pa, data)
    if kind == b"frame" and "pandas" not in sys.modules:
        import pandas  # noqa: F401  (it registers types that the schema may name)

        table, kind, more = read_noted(pa, data)
    return _from_table(pa, table, kind, more, memoryview(data))


def _contiguous(column: Any) -> Any:
    """A column as one array: a view of the data if it was written as one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _from_table(pa: Any, table: Any, kind: bytes, more: Any, memory: memoryview) -> Any:
    if kind == b"batch":
        batches = table.combine_chunks().to_batches()
        if batches or not table.num_columns:
            return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
        arrays = [column.chunk(0) if column.num_chunks else column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=table.schema)
    if kind == b"chunked":
        return table.column(0)
    if kind == b"array":
        return _contiguous(table.column(0))
    if kind == b"list":
        return table.column(0).to_pylist()
    if kind == b"dict":
        return table.to_pydict()
    if kind == b"frame":
        return frames.from_table(table, more, WritableViews(memory))
    if kind == b"ndarray":
        return _to_ndarray(table.column(0), more, WritableViews(memory))
    if kind in (b"polars.DataFrame", b"polars.Series"):
        return _to_polars(table, kind)
    return table


# -- lists ---------------------------------------------------------------------------------------------


def _of_list(pa: Any, value: list[Any], where: str = "") -> Any:
    """A list as an array; refused if it would not come back."""
    types = set(map(type, value)) - {type(None)}
    for item, name in _PLAIN_ITEMS:
        if types == {item}:
            try:
                return pa.array(value, type=pa.type_for_alias(name), from_pandas=False)
            except OverflowError:
                return pa.array(value, type=pa.uint64())
    array = pa.array(value, from_pandas=False)
    if not same(value, array.to_pylist()):
        refuse(_why(value, array, where))
    return array


def _why(value: list[Any], array: Any, where: str) -> str:
    for number, (item, back) in enumerate(zip(value, array.to_pylist(), strict=True)):
        if not same(item, back):
            return f"{where}item {number}, {_short(item)} ({type(item).__name__}), would become {_short(back)}"
    return f"{where}a {type(value).__name__} would become a list"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


# -- NumPy ---------------------------------------------------------------------------------------------


def _of_ndarray(pa: Any, numpy: Any, value: Any) -> Noted:
    kind = value.dtype.kind
    more = None
    if kind == "O":
        array, more = _of_list(pa, value.tolist()), {"dtype": "O"}
    elif kind == "T":
        missing = getattr(value.dtype, "na_object", ...)
        how = "" if missing is ... else "none" if missing is None else "nan" if missing != missing else missing
        if how not in ("", "none", "nan"):
            refuse(f"the missing value of its dtype {value.dtype} is {_short(missing)}")
        array = pa.array([None if item is missing else item for item in value.tolist()], pa.large_string())
        more = {"dtype": "T", "missing": how, "coerce": value.dtype.coerce}
    else:
        array = pa.array(value, from_pandas=False)
        if kind in "US":
            more = {"dtype": value.dtype.str}
    table = pa.table([array], names=["value"])
    back = _to_ndarray(table.column(0), more)
    if back.dtype != value.dtype:
        refuse(f"its dtype {value.dtype} would become {back.dtype}")
    if kind in "US" and not numpy.array_equal(value, back):
        refuse(f"items of dtype {value.dtype} would change")
    return Noted(table, b"ndarray", more)


def _to_ndarray(column: Any, more: Any, views: WritableViews | None = None) -> Any:
    import numpy

    name = more["dtype"] if more else ""
    if name == "O":
        objects = numpy.empty(len(column), dtype=object)
        objects[:] = column.to_pylist()
        return objects
    if name == "T":
        missing: dict[str, Any] = {"none": {"na_object": None}, "nan": {"na_object": float("nan")}}
        dtype = numpy.dtypes.StringDType(coerce=more["coerce"], **missing.get(more["missing"], {}))
        items = column.to_pylist()
        if more["missing"]:
            items = [dtype.na_object if item is None else item for item in items]
        return numpy.array(items, dtype=dtype)
    array = _contiguous(column).to_numpy(zero_copy_only=False)
    if name:
        return array.astype(name)
    return array if views is None else views.array(array)


# -- polars --------------------------------------------------------------------------------------------


def _of_polars(pa: Any, value: Any) -> Noted:
    kind = type(value).__name__
    if kind not in ("DataFrame", "Series"):
        raise RainException(f'content type "arrow" takes frames and series of polars, not {kind}')
    frame = value.to_frame() if kind == "Series" else value
    table = pa.table(frame)
    back = _to_polars(table, b"polars.DataFrame")
    if back.schema != frame.schema:
        changed = [name for name, dtype in frame.schema.items() if back.schema.get(name) != dtype]
        refuse(f"the types of the columns {changed} would become others")
    if back.height != frame.height or not back.equals(frame, null_equal=True):
        refuse("values would become others")
    return Noted(table, f"polars.{kind}".encode())


def _to_polars(table: Any, kind: bytes) -> Any:
    try:
        import polars
    except ImportError:
        raise RainException(
            f"the data are a {kind.decode()}, and polars is not installed where it is loaded: pip install polars, or "
            "give get_bytes() to pyarrow.ipc.open_file"
        ) from None
    frame = polars.from_arrow(table)
    return frame.to_series(0) if kind == b"polars.Series" else frame
