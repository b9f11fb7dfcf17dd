"""Content types under the path that users know: names, which is a subtype of which, encoding and decoding.

What is offered here lives in `rain.objects.content_types`, which is loaded when it is first asked for: this package is
pure.
"""

from __future__ import annotations

from rain.lazy_names import offered

TYPE_CHECKING = False  # see rain.lazy_names
if TYPE_CHECKING:
    from rain.objects.content_types.codecs import decode_value as decode_value
    from rain.objects.content_types.codecs import encode_value as encode_value
    from rain.objects.content_types.registry import check_content_type as check_content_type
    from rain.objects.content_types.registry import is_subtype as is_subtype
    from rain.objects.content_types.registry import merge_content_types as merge_content_types
    from rain.objects.content_types.text import text_encoding as text_encoding
else:
    __getattr__, __dir__, __all__ = offered(__name__)
