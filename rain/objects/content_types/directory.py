"""Content type ``dir``: directories, which are no values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from rain.common.errors import RainException
from rain.objects.content_types.content_type import ContentType

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Directory(ContentType):
    """Says what to do instead of encoding and decoding."""

    def encode(self, value: Any, name: str) -> NoReturn:
        raise RainException(
            "a value cannot be encoded as a directory; use directory(path), or ctx.stage_directory(path)"
        )

    def decode(self, data: Buffer, name: str) -> NoReturn:
        raise RainException("a directory cannot be loaded; use write(path) or link(path)")
