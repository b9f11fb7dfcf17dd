"""Frames and series of polars as the Arrow buffers that they are made of, where pyarrow is installed."""

from __future__ import annotations

import functools
import operator
import sys
from typing import Any

from rain.objects.pickling.reduce import Call, Reducer, Reduction
from rain.objects.pickling.reduce.arrow import LARGE_BYTES, is_small_part, own_bytes


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for a class of polars."""
    polars = sys.modules.get("polars")
    if polars is None or kind not in (polars.DataFrame, polars.Series):
        return None
    return Reducer(_memory, _reduce)


def _memory(value: Any) -> int:
    return int(value.estimated_size())


def _reduce(value: Any, reduction: Reduction) -> Any:
    import polars

    if value.estimated_size() < LARGE_BYTES:
        return NotImplemented
    try:
        import pyarrow
    except ImportError:
        return NotImplemented
    frame: Any = value.to_frame() if isinstance(value, polars.Series) else value
    make: Any = functools.partial(polars.from_arrow, rechunk=False)
    try:
        table = pyarrow.table(frame)
        if is_small_part(table):
            table = own_bytes(pyarrow, table)
        back = make(table)
    except Exception:  # a type that Arrow does not have
        return NotImplemented
    if back.schema != frame.schema or back.height != frame.height:
        return NotImplemented
    reduction.used = True
    if frame is value:
        return make, (table,)
    return operator.methodcaller("to_series", 0), (Call(make, table),)
