"""Content types ``mime/…`` and ``user/…``: bytes that Rain does not interpret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.objects.content_types.content_type import ContentType

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Raw(ContentType):
    """Bytes, as they are."""

    holds_text = True

    def encode(self, value: Any, name: str) -> list[Buffer]:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise RainException(f"content type {name!r} takes bytes, not {type(value).__name__}")
        return [value]

    def decode(self, data: Buffer, name: str) -> bytes:
        return bytes(data)
