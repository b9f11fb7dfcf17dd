"""A result of an earlier run in the place of a task's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rain.client.core.records import TaskRecord
from rain.client.core.reuse.entries import Entry
from rain.client.operations.constant_values import Value
from rain.client.reuse.folder import Folder
from rain.common.formatting import duration_text
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline
from rain.common.spec import ObjectInfo, TaskInfo
from rain.objects.readers import ObjectReader

if TYPE_CHECKING:
    from rain.client.core.session_mirror import SessionMirror


class StoredValue(Value):
    """A large result, which is mapped: it stays readable if its file is removed to make room."""

    __slots__ = ("_reader",)

    def __init__(self, reader: ObjectReader) -> None:
        super().__init__(None, reader.size)
        self._reader = reader

    @property
    def stays(self) -> bool:
        return True

    def reader(self) -> ObjectReader:
        return self._reader

    def view(self) -> memoryview:
        return self._reader.buffer()

    def get_bytes(self) -> bytes:
        return bytes(self.view())


def ready(folder: Folder, record: TaskRecord, entry: Entry) -> list[Any] | str:
    """The values of a task's outputs; a text that says why they cannot be had."""
    if len(entry.outputs) != len(record.outputs):
        return "its result has another number of outputs"
    values: list[Any] = []
    for number, stored in enumerate(entry.outputs):
        if stored.data is not None:
            value = Value(stored.data, stored.size)
        else:
            found = folder.map_output(entry.key, number, stored)
            if isinstance(found, str):
                return found
            value = StoredValue(found) if stored.size > INLINE_BYTES_MAX else Value(found.read(), stored.size)
        value.content_size, value.encoded = stored.content_size, stored.encoded
        values.append(value)
    return values


def take(mirror: SessionMirror, record: TaskRecord, entry: Entry, values: list[Any]) -> None:
    """Finish a task with these values; the lock of the connection is held."""
    assert record.reuse is not None
    record.reuse.hit = True
    record.reuse.text = f"reused: {when(entry)}"
    mirror.reuse(record)
    record.info = TaskInfo(user=entry.user, debug=entry.debug)
    for output, stored, value in zip(record.outputs, entry.outputs, values, strict=True):
        output.info = ObjectInfo(
            size=stored.content_size, content_type=stored.content_type, user=stored.user, encoded=stored.encoded
        )
        output.spec.content_type = stored.content_type or output.spec.content_type
        output.value = value
        if stored.data is not None and output.kept:
            output.location = Inline(stored.data)


def when(entry: Entry) -> str:
    """When a result was made, as text."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.made))
    return f"made on {made}" + (f", when it took {duration_text(entry.took)}" if entry.took is not None else "")
