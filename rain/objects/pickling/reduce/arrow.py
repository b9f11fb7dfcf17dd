"""Slices of Arrow's arrays and tables without the rest of the buffers behind them.

pyarrow pickles those whole (as of version 26).
"""

from __future__ import annotations

import operator
import sys
from typing import Any

from rain.objects.pickling.reduce import Reducer, Reduction

LARGE_BYTES = 64 * 1024
"""Smaller buffers are left to pyarrow."""
_SLACK = 2


def reducer_of(kind: type) -> Reducer | None:
    """The reducer for a class of pyarrow."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or not issubclass(
        kind, (pyarrow.Table, pyarrow.RecordBatch, pyarrow.ChunkedArray, pyarrow.Array)
    ):
        return None
    return Reducer(operator.methodcaller("get_total_buffer_size"), _reduce)


def is_small_part(value: Any) -> bool:
    """Whether the buffers behind a value are much larger than what it shows of them."""
    return bool(value.get_total_buffer_size() > _SLACK * max(value.nbytes, LARGE_BYTES))


def own_bytes(pyarrow: Any, table: Any) -> Any:
    """A copy of `table` whose buffers hold nothing else."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pyarrow.ipc.open_stream(sink.getvalue()).read_all()


def _reduce(value: Any, reduction: Reduction) -> Any:
    import pyarrow

    if not is_small_part(value):
        return NotImplemented
    if isinstance(value, pyarrow.Table):
        copy = own_bytes(pyarrow, value)
    elif isinstance(value, pyarrow.RecordBatch):
        (copy,) = own_bytes(pyarrow, pyarrow.Table.from_batches([value])).to_batches()
    else:
        column = own_bytes(pyarrow, pyarrow.table([value], names=[""])).column(0)
        copy = column if isinstance(value, pyarrow.ChunkedArray) else column.combine_chunks()
    if type(copy) is not type(value) or not copy.equals(value):  # NaN, for instance, is not equal to itself
        return NotImplemented
    reduction.used = True
    return copy.__reduce_ex__(5)
