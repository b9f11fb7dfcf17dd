"""Content type ``cbor``: what CBOR (RFC 8949) can say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.objects.content_types import cbor_values
from rain.objects.content_types.content_type import ContentType

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Cbor(ContentType):
    """Values as CBOR."""

    extensions = ("cbor",)
    mime_types = ("application/cbor",)
    kind = "cbor"

    def encode(self, value: Any, name: str) -> list[Buffer]:
        return [cbor_values.dumps(value)]

    def decode(self, data: Buffer, name: str) -> Any:
        return cbor_values.loads(data)
