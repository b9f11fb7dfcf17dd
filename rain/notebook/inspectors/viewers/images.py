"""Pictures that browsers draw: which kind, how large, from their first bytes. SVG, which may hold scripts, is text."""

from __future__ import annotations

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import IMAGE_BYTES_MAX, IMAGE_PARTS_MAX, IMAGE_PIXELS_MAX
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.protocol.data import ImagePage
from rain.notebook.protocol.requests import Inspect

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


def image_size(ranges: Ranges) -> tuple[int, int] | None:
    """Width and height in pixels, where the picture tells.

    Examples
    --------
    >>> image_size(Ranges.of(b"GIF89a" + bytes([5, 0, 3, 0]) + bytes(9)))
    (5, 3)
    """
    head = ranges.read(0, 64)
    kind = image_type(head)
    if kind == "image/png" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if kind == "image/gif" and len(head) >= 13:
        return _gif_size(ranges, head)
    if kind == "image/bmp" and len(head) >= 26:
        width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
        return abs(width), abs(height)
    if kind == "image/webp":
        return _webp_size(head)
    return _jpeg_size(ranges) if kind == "image/jpeg" else None


def _gif_size(ranges: Ranges, head: bytes) -> tuple[int, int] | None:
    """Of the screen, or of the first frame, for which browsers make the screen larger."""
    width, height = (int.from_bytes(head[at : at + 2], "little") for at in (6, 8))
    at = 13 + (3 << ((head[10] & 7) + 1) if head[10] & 0x80 else 0)
    inside = False  # an extension, which is a sequence of blocks
    for _ in range(IMAGE_PARTS_MAX):
        part = ranges.read(at, 9)
        if inside:
            inside = bool(part[:1].strip(b"\0"))
            at += 1 + (part[0] if part else 0)
        elif part[:1] == b"\x21":
            inside = True
            at += 2
        elif part[:1] == b"\x2c" and len(part) == 9:
            left, top, wide, high = (int.from_bytes(part[place : place + 2], "little") for place in (1, 3, 5, 7))
            return max(width, left + wide), max(height, top + high)
        else:
            return width, height
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 " and len(head) >= 30:
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def _jpeg_size(ranges: Ranges) -> tuple[int, int] | None:
    at = 2
    for _ in range(IMAGE_PARTS_MAX):
        head = ranges.read(at, 9)
        if len(head) < 9 or head[0] != 0xFF:
            return None
        mark = head[1]
        if mark in _JPEG_SIZES:
            return int.from_bytes(head[7:9], "big"), int.from_bytes(head[5:7], "big")
        at += 1 if mark == 0xFF else 2 if mark in _JPEG_ALONE else 2 + int.from_bytes(head[2:4], "big")
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
        extent = image_size(subject.ranges)
        if extent is None:
            raise RainException("the picture does not say how many pixels it has: it may be cut off; download it")
        if extent[0] * extent[1] > IMAGE_PIXELS_MAX:
            raise RainException(
                f"the picture has {extent[0]} x {extent[1]} pixels, over the limit for pictures "
                f"(IMAGE_PIXELS_MAX, {IMAGE_PIXELS_MAX}); download it"
            )
        self._type = found
        self._extent = extent
        self._ranges = subject.ranges

    def page(self, asked: Inspect) -> PageWithBuffers:
        width, height = self._extent
        page = ImagePage(mime=self._type, width=width, height=height)
        return page, [self._ranges.read(0, self._ranges.size)]
