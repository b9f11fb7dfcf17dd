"""Pictures that browsers draw: which kind, how large, from their first bytes. SVG, which may hold scripts, is text."""

from __future__ import annotations

from rain.common.errors import RainException
from rain.common.text import size_text
from rain.notebook.inspect.limits import IMAGE_BYTES_MAX, IMAGE_PIXELS_MAX
from rain.notebook.inspect.parameters import Parameters
from rain.notebook.inspect.subject import Page, Subject

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}


def image_type(head: bytes) -> str | None:
    """The MIME type of a picture that begins so, None for anything else.

    Examples
    --------
    >>> image_type(b"GIF89a" + bytes(7)), image_type(b"BMW, Porsche")
    ('image/gif', None)
    """
    if head.startswith(_PNG):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"BM") and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "image/bmp"
    return None


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, where the first bytes tell.

    Examples
    --------
    >>> image_size(b"GIF89a" + bytes([5, 0, 3, 0]))
    (5, 3)
    """
    kind = image_type(head)
    if kind == "image/png" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if kind == "image/gif" and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if kind == "image/bmp" and len(head) >= 26:
        width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(width), abs(height)
    if kind == "image/webp":
        return _webp_size(head)
    return _jpeg_size(head) if kind == "image/jpeg" else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 " and len(head) >= 30:
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        mark = head[at + 1]
        if mark in _JPEG_SIZES:
            return int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(head[at + 5 : at + 7], "big")
        at += 1 if mark == 0xFF else 2 if mark in _JPEG_ALONE else 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


class ImageViewer:
    """The whole picture, for the browser to draw."""

    def __init__(self, subject: Subject) -> None:
        found = image_type(subject.head)
        if found is None:
            raise RainException("this is not a picture in PNG, JPEG, GIF, WebP or BMP")
        size = subject.ranges.size
        if size > IMAGE_BYTES_MAX:
            limit = f"IMAGE_BYTES_MAX, {size_text(IMAGE_BYTES_MAX)}"
            raise RainException(
                f"the picture has {size_text(size)}, over the limit for pictures ({limit}); download it"
            )
        self._extent = image_size(subject.head)
        if self._extent is not None and self._extent[0] * self._extent[1] > IMAGE_PIXELS_MAX:
            raise RainException(
                f"the picture has {self._extent[0]} x {self._extent[1]} pixels, over the limit for pictures "
                f"(IMAGE_PIXELS_MAX, {IMAGE_PIXELS_MAX}); download it"
            )
        self._type = found
        self._ranges = subject.ranges

    def page(self, parameters: Parameters) -> Page:
        page: dict[str, object] = {"mime": self._type}
        if self._extent is not None:
            page["width"], page["height"] = self._extent
        return page, [self._ranges.read(0, self._ranges.size)]
