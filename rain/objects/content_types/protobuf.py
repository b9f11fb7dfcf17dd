"""Content types ``protobuf`` and ``protobuf/NAME``: messages of Protocol Buffers, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.objects.content_types.raw import Raw

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Protobuf(Raw):
    """Bytes, or a message, which knows how to write itself (``SerializeToString``); reading gives bytes."""

    holds_text = False

    def encode(self, value: Any, name: str) -> list[Buffer]:
        if hasattr(value, "SerializeToString"):
            return [bytes(value.SerializeToString())]
        return super().encode(value, name)

    def parents(self, name: str) -> tuple[str, ...]:
        return () if name == "protobuf" else ("protobuf",)
