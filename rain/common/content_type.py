"""Content types under the path that users know: names, which is a subtype of which, encoding and decoding.

What is offered here lives in `rain.objects.content_types`, which is loaded when it is first asked for: this package is
pure.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {
    "check_content_type": "rain.objects.content_types.registry",
    "is_subtype": "rain.objects.content_types.registry",
    "merge_content_types": "rain.objects.content_types.registry",
    "text_encoding": "rain.objects.content_types.text",
    "encode_value": "rain.objects.content_types.codecs",
    "decode_value": "rain.objects.content_types.codecs",
}

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


if TYPE_CHECKING:
    from rain.objects.content_types.codecs import decode_value as decode_value
    from rain.objects.content_types.codecs import encode_value as encode_value
    from rain.objects.content_types.registry import check_content_type as check_content_type
    from rain.objects.content_types.registry import is_subtype as is_subtype
    from rain.objects.content_types.registry import merge_content_types as merge_content_types
    from rain.objects.content_types.text import text_encoding as text_encoding
