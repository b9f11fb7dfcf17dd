"""Arrow IPC files of a table and of what its reader has to know beside it, which is noted in the schema's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rain.objects.content_types.arrow.equality import refuse

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PREFIX = b"rain:"
_KIND = b"rain:kind"
_MORE = b"rain:more"
_GIVEN = b"rain:given:"
"""Before keys of the user's own metadata that begin with Rain's prefix."""
_FILE_MAGIC = b"ARROW1"


class Noted(NamedTuple):
    """A table, and what it was made of.

    Attributes
    ----------
    table : pyarrow.Table
    kind : bytes
        Of the value; empty for a table.
    more : Any
        What JSON can say, for the reader of this kind; None for nothing.
    """

    table: Any
    kind: bytes = b""
    more: Any = None


def write_noted(pa: Any, noted: Noted, write: Callable[[Any], Any]) -> None:
    """Write a file in pieces.

    Raises
    ------
    RainException
        If the table has rows and no column, which no file can say.
    """
    table = noted.table
    metadata = {
        _GIVEN + key if key.startswith(_PREFIX) else key: text for key, text in (table.schema.metadata or {}).items()
    }
    if noted.kind:
        metadata[_KIND] = noted.kind
    if noted.more:
        metadata[_MORE] = json.dumps(noted.more).encode()
    rows = table.num_rows
    if metadata != (table.schema.metadata or {}):
        table = table.replace_schema_metadata(metadata)
        if table.num_rows != rows:
            refuse(f"it has {rows} rows and no column")
    table = _one_dictionary(table)
    with pa.ipc.new_file(pa.PythonFile(_Output(write), mode="w"), table.schema) as writer:
        if table.num_rows:
            writer.write_table(table)
        else:  # no batch would be written, and with it no dictionary
            columns = [column.chunk(0) if column.num_chunks else column.combine_chunks() for column in table.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=table.schema))


def read_noted(pa: Any, data: Buffer) -> Noted:
    """What a file or a stream of Arrow's holds, as views of `data`; without Rain's notes in the table."""
    buffer = pa.py_buffer(data)
    opened = pa.ipc.open_file if buffer[: len(_FILE_MAGIC)].to_pybytes() == _FILE_MAGIC else pa.ipc.open_stream
    table = opened(buffer).read_all()
    metadata = dict(table.schema.metadata or {})
    if any(key.startswith(_PREFIX) for key in metadata):
        kept = {
            key.removeprefix(_GIVEN): text
            for key, text in metadata.items()
            if key.startswith(_GIVEN) or not key.startswith(_PREFIX)
        }
        table = table.replace_schema_metadata(kept or None)
    return Noted(table, metadata.get(_KIND, b""), json.loads(metadata[_MORE]) if _MORE in metadata else None)


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


def _one_dictionary(table: Any) -> Any:
    """`table` with one dictionary for each column: a file cannot hold another one for each chunk."""
    if any(column.num_chunks > 1 and _has_dictionary(column.type) for column in table.columns):
        table = table.unify_dictionaries()
        nested = any(
            column.num_chunks > 1 and not hasattr(column.type, "index_type") and _has_dictionary(column.type)
            for column in table.columns
        )
        if nested:  # those, it leaves
            table = table.combine_chunks()
    return table


def _has_dictionary(kind: Any) -> bool:
    if hasattr(kind, "index_type") or (hasattr(kind, "storage_type") and _has_dictionary(kind.storage_type)):
        return True
    return any(_has_dictionary(kind.field(number).type) for number in range(kind.num_fields))
