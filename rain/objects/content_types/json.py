"""Content type ``json``: what JSON can say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rain.objects.content_types.content_type import ContentType
from rain.objects.content_types.json_changes import tell

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Json(ContentType):
    """Values as JSON in UTF-8."""

    extensions = ("json", "geojson", "ipynb")
    mime_types = ("application/json",)
    kind = "json"
    holds_text = True

    def encode(self, value: Any, name: str) -> list[Buffer]:
        data = json.dumps(value)
        tell(value, data)
        return [data.encode()]

    def decode(self, data: Buffer, name: str) -> Any:
        return json.loads(bytes(data))
