"""Content type ``arrow``: tables, arrays and data frames as Arrow IPC files, which are read without copying them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.objects.content_types.arrow import tables
from rain.objects.content_types.content_type import ContentType

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Arrow(ContentType):
    """What Arrow can say, see `tables`; gives back what it was."""

    extensions = ("arrow", "feather")
    mime_types = ("application/vnd.apache.arrow.file", "application/vnd.apache.arrow.stream")
    kind = "arrow"

    def dump(self, value: Any, name: str, write: Callable[[Any], Any], restart: Callable[[], Any]) -> None:
        tables.dump(value, write)

    def decode(self, data: Buffer, name: str) -> Any:
        return tables.load(data)
