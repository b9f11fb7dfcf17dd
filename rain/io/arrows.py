"""Content type ``arrow``: tables, record batches, arrays, data frames, lists and dicts of lists, as Arrow IPC files.

What the value was is noted in the schema's metadata, so that it comes back as that; a table is written as it is. The
file can be read by anything that reads Arrow (Feather version 2) files.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException

if TYPE_CHECKING:
    from typing_extensions import Buffer

_KIND = b"rain:kind"
_FILE_MAGIC = b"ARROW1"


class _Output:
    """The little of a file that Arrow's writers need, around a `write`."""

    closed = False

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self._write = write
        self._position = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)  # of bytes, or of an Arrow buffer, which the view keeps alive
        self._write(view)
        self._position += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._position

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


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
    table, kind = _to_table(pa, value)
    if kind:
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KIND: kind})
    with pa.ipc.new_file(pa.PythonFile(_Output(write), mode="w"), table.schema) as writer:
        writer.write_table(table)


def _to_table(pa: Any, value: Any) -> tuple[Any, bytes]:
    if isinstance(value, pa.Table):
        return value, b""
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value]), b"batch"
    if isinstance(value, pa.ChunkedArray):
        return pa.table([value], names=["value"]), b"chunked"
    if isinstance(value, pa.Array):
        return pa.table([value], names=["value"]), b"array"
    if isinstance(value, list):
        array = pa.array(value)
        _same_or_refuse(value, array.to_pylist())
        return pa.table([array], names=["value"]), b"list"
    if isinstance(value, dict):
        if not all(isinstance(key, str) and isinstance(column, list) for key, column in value.items()):
            raise RainException('content type "arrow" takes a dict only if its keys are str and its values are lists')
        table = pa.table(value)
        _same_or_refuse(value, table.to_pydict())
        return table, b"dict"
    # Neither is imported here: a value of such a type means that it is loaded.
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return pa.Table.from_pandas(value), b"frame"
    if numpy is not None and isinstance(value, numpy.ndarray) and value.ndim == 1:
        return pa.table([pa.array(value)], names=["value"]), b"ndarray"
    raise RainException(
        f'content type "arrow" takes tables, record batches, arrays, data frames, lists and dicts of lists, '
        f"not {type(value).__name__}"
    )


def _same_or_refuse(value: Any, back: Any) -> None:
    """Arrow makes all items of a column one type; refuse what that would change."""
    if value != back and not _same(value, back):
        raise RainException(
            'content type "arrow" would change this value (all items of a list are made one type there); '
            'use "pickle" or "json"'
        )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


def load(data: Buffer, writable: bool = False) -> Any:
    """The value that `dump` (or another writer of Arrow files or streams) wrote, as views of `data` where possible."""
    import pyarrow as pa

    buffer = pa.py_buffer(data)
    if buffer[: len(_FILE_MAGIC)].to_pybytes() == _FILE_MAGIC:
        table = pa.ipc.open_file(buffer).read_all()
    else:
        table = pa.ipc.open_stream(buffer).read_all()
    metadata = dict(table.schema.metadata or {})
    kind = metadata.pop(_KIND, b"")
    if kind:
        table = table.replace_schema_metadata(metadata or None)
    return _from_table(pa, table, kind, writable)


def _from_table(pa: Any, table: Any, kind: bytes, writable: bool) -> Any:
    if kind == b"batch":
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    if kind == b"chunked":
        return table.column(0)
    if kind == b"array":
        column = table.column(0)
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if kind == b"list":
        return table.column(0).to_pylist()
    if kind == b"dict":
        return table.to_pydict()
    if kind == b"frame":
        # Blocks that are split stay views of the data.
        return table.to_pandas() if writable else table.to_pandas(split_blocks=True)
    if kind == b"ndarray":
        array = table.column(0).to_numpy(zero_copy_only=False)
        return array.copy() if writable and not array.flags.writeable else array
    return table
