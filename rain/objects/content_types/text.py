"""Content types ``text`` and ``text-ENCODING``: strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.objects.content_types.content_type import ContentType

if TYPE_CHECKING:
    from typing_extensions import Buffer


def text_encoding(name: str | None) -> str:
    """The encoding that a text type names; UTF-8 for all others.

    Parameters
    ----------
    name : str or None
        A content type.

    Returns
    -------
    str
        The name of a codec of Python.

    Examples
    --------
    >>> text_encoding("text-latin-1"), text_encoding("text"), text_encoding(None)
    ('latin-1', 'utf-8', 'utf-8')
    """
    return name[5:] if name and name.startswith("text-") else "utf-8"


class Text(ContentType):
    """Strings in the encoding that the name tells, which is UTF-8 for ``text``."""

    extensions = ("txt",)
    mime_types = ("text/plain",)
    kind = "text"
    holds_text = True

    def encode(self, value: Any, name: str) -> list[Buffer]:
        if not isinstance(value, str):
            raise RainException(f"content type {name!r} takes str, not {type(value).__name__}")
        return [value.encode(text_encoding(name))]

    def decode(self, data: Buffer, name: str) -> str:
        return str(data, text_encoding(name))

    def check(self, name: str) -> None:
        try:
            "".encode(text_encoding(name))
        except (LookupError, ValueError):
            raise ValueError(f"content type {name!r}: {name[5:]!r} is not a text encoding that Python knows") from None

    def parents(self, name: str) -> tuple[str, ...]:
        return () if name == "text" else ("text",)
