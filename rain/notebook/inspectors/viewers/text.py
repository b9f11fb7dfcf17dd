"""Text in its encoding, in pages that begin and end between characters."""

from __future__ import annotations

import codecs
import re

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import TEXT_PAGE_BYTES
from rain.notebook.inspectors.sanitize import clean, cut
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.protocol.data import TextPage
from rain.notebook.protocol.requests import Inspect
from rain.objects.content_types.text import text_encoding

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_REFUSED = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
"""Not encodings of texts, or such as take time that grows with the square."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_C1 = re.compile(rb"[\x80-\x9f]")
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_HIGH = re.compile(rb"[\x80-\xff]")
_HIGH_SHARE_MAX = 0.3
_ASCII = re.compile(r"[\x00-\x7f]")
_STATES_MAX = 10_000


def check_encoding(name: str) -> str:
    """The codec's own name of an encoding.

    Raises
    ------
    RainException
        If there is none, or texts are not shown in it.
    """
    try:
        info = codecs.lookup(name)
        "".encode(name)  # refuses codecs that are not for text
    except (LookupError, ValueError, UnicodeError):
        raise RainException(f"{cut(name, 60)!r} is not a text encoding that Python knows") from None
    if info.name.replace("_", "-") in _REFUSED or info.incrementaldecoder is None:
        raise RainException(f"text in {info.name} cannot be shown in pages; see its bytes (hex)")
    return info.name


def guess_encoding(head: bytes, whole: bool) -> str | None:
    """The encoding of bytes that look like text: that of a byte order mark, UTF-8, Latin-1 or Windows-1252; None for
    other bytes.

    Parameters
    ----------
    head : bytes
        The beginning.
    whole : bool
        Whether that is all there is.

    Examples
    --------
    >>> guess_encoding("daß".encode(), True), guess_encoding(b"da\\xdf", True), guess_encoding(bytes(9), True)
    ('utf-8', 'iso8859-1', None)
    """
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    if _CONTROL.search(head):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, whole)
    except UnicodeDecodeError:
        return _single_byte(head)
    return "utf-8"


def _single_byte(data: bytes) -> str | None:
    """Latin-1 says anything, so these must be mostly letters as they are in Western texts."""
    if not _C1.search(data):
        return "iso8859-1"
    if _NOT_CP1252.search(data) or len(_HIGH.findall(data)) > _HIGH_SHARE_MAX * len(data):
        return None
    return "cp1252"


def other_encoding(data: bytes, text: str) -> str | None:
    """The encoding that `data` are more likely in than in UTF-8, as which they are `text`; None if there is none.

    Examples
    --------
    >>> other_encoding(b"caf\\xe9", "caf\\ufffd"), other_encoding("déjà".encode() + b"\\xff", "déjà\\ufffd")
    ('iso8859-1', None)
    """
    wrong = text.count("\ufffd")
    right = len(text) - wrong - len(_ASCII.findall(text))
    if not wrong or right >= wrong or _CONTROL.search(data):
        return None
    return _single_byte(data)


def mark_length(head: bytes, encoding: str) -> int:
    """Bytes of the byte order mark of that encoding at the beginning."""
    for mark, name in _BOMS:
        if name == encoding and head.startswith(mark):
            return len(mark)
    return 0


class TextViewer:
    """Pages of at most `TEXT_PAGE_BYTES` bytes; bytes that are not of the encoding show as U+FFFD.

    A page that is not the UTF-8 that was announced or guessed is shown in the encoding that it is likely to have.
    """

    def __init__(self, subject: Subject) -> None:
        self._ranges = subject.ranges
        self._head = subject.head
        whole = len(subject.head) == subject.ranges.size
        declared = subject.content_type or ""
        self._declared = declared == "text" or declared.startswith("text-")
        if self._declared:
            self._encoding = text_encoding(declared)
        else:
            self._encoding = guess_encoding(subject.head, whole) or "utf-8"
        self._states: dict[tuple[str, int], int] = {}  # of encodings whose bytes mean other things after a shift

    def page(self, asked: Inspect) -> PageWithBuffers:
        encoding = self._resolved(check_encoding(asked.encoding or self._encoding))
        size = self._ranges.size
        offset = min(asked.offset, size)
        mark = mark_length(self._head, encoding)
        if offset < mark:
            offset = mark
        offset = self._aligned(offset, encoding)
        data = self._ranges.read(offset, TEXT_PAGE_BYTES)
        last = offset + len(data) >= size or len(data) < TEXT_PAGE_BYTES
        text, pending, state = self._decoded(data, offset, encoding, last)
        if data and pending == len(data) and not last:  # one unit fills the page: cut it rather than stay here
            text, pending, state = self._decoded(data, offset, encoding, True)
        note = ""
        if encoding == "utf-8" and not asked.encoding and (other := other_encoding(data, text)) is not None:
            said = "the content type says" if self._declared else "the beginning is"
            note = f"This is not utf-8, which {said}: it is shown as {other}."
            encoding = other
            text, pending, state = self._decoded(data, offset, encoding, last)
        end = offset + len(data) - pending
        if state and end < size and len(self._states) < _STATES_MAX:
            self._states[encoding, end] = state
        if offset == mark:
            offset = 0  # the mark is of this page, though it is not shown
        return TextPage(
            encoding=encoding,
            offset=offset,
            end=end,
            size=size,
            size_text=size_text(size),
            text=clean(text),
            note=note,
        ), []

    def _decoded(self, data: bytes, offset: int, encoding: str, last: bool) -> tuple[str, int, int]:
        """The text, how many bytes at the end are only the beginning of a character, and the decoder's state."""
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        try:
            if (encoding, offset) in self._states:
                decoder.setstate((b"", self._states[encoding, offset]))
            text = decoder.decode(data, last)
            pending, state = decoder.getstate()
        except (UnicodeError, ValueError, NotImplementedError, AssertionError) as error:
            raise RainException(f"this is not text in {encoding}: {cut(str(error))}") from None
        return text, 0 if last else len(pending), state

    def _resolved(self, encoding: str) -> str:
        """UTF-16 and UTF-32 without a byte order, from the mark at the beginning: pages in the middle have none."""
        if encoding == "utf-8-sig":
            return "utf-8"
        if encoding in ("utf-16", "utf-32"):
            return next(
                (name for mark, name in _BOMS if name.startswith(encoding) and self._head.startswith(mark)),
                f"{encoding}-le",
            )
        return encoding

    def _aligned(self, offset: int, encoding: str) -> int:
        """`offset`, or the next place at which a character begins, where the encoding allows to see that."""
        if encoding == "utf-8":
            return self._behind_character(offset)
        if encoding.startswith("utf-32"):
            return offset + -offset % 4
        if encoding.startswith("utf-16"):
            offset += offset % 2
            high = 0 if encoding.endswith("be") else 1
            unit = self._ranges.read(offset, 2)
            return offset + 2 if len(unit) == 2 and 0xDC <= unit[high] <= 0xDF and offset else offset
        return offset

    def _behind_character(self, offset: int) -> int:
        """`offset`, or where the UTF-8 character ends in which it is; other bytes are not passed over."""
        around = self._ranges.read(max(offset - 3, 0), 6)
        at = min(offset, 3)
        begin = at
        while begin and begin < len(around) and around[begin] & 0xC0 == 0x80:
            begin -= 1
        if begin == at or begin >= len(around):
            return offset
        length = {0xC0: 2, 0xD0: 2, 0xE0: 3, 0xF0: 4}.get(around[begin] & 0xF0, 1)
        character = around[begin : begin + length]
        if begin + length <= at or any(byte & 0xC0 != 0x80 for byte in character[1:]):
            return offset
        return offset + min(begin + length, len(around)) - at
