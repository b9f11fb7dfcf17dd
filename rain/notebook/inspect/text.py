"""Text in its encoding, in pages that begin and end between characters."""

from __future__ import annotations

import codecs
import re

from rain.common.content_type import text_encoding
from rain.common.errors import RainException
from rain.notebook.inspect.limits import TEXT_PAGE_BYTES
from rain.notebook.inspect.parameters import Parameters
from rain.notebook.inspect.safe import clean, cut
from rain.notebook.inspect.subject import Page, Subject

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
    """The encoding of bytes that look like text: that of a byte order mark, UTF-8, or Latin-1; None for other bytes.

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
        # Latin-1 says anything, so it must be mostly letters as they are in Western texts.
        return "iso8859-1" if not re.search(rb"[\x80-\x9f]", head) else None
    return "utf-8"


def mark_length(head: bytes, encoding: str) -> int:
    """Bytes of the byte order mark of that encoding at the beginning."""
    for mark, name in _BOMS:
        if name == encoding and head.startswith(mark):
            return len(mark)
    return 0


class TextViewer:
    """Pages of at most `TEXT_PAGE_BYTES` bytes; bytes that are not of the encoding show as U+FFFD."""

    def __init__(self, subject: Subject) -> None:
        self._ranges = subject.ranges
        self._head = subject.head
        whole = len(subject.head) == subject.ranges.size
        declared = subject.content_type or ""
        if declared == "text" or declared.startswith("text-"):
            self._encoding = text_encoding(declared)
        else:
            self._encoding = guess_encoding(subject.head, whole) or "utf-8"
        self._states: dict[tuple[str, int], int] = {}  # of encodings whose bytes mean other things after a shift

    def page(self, parameters: Parameters) -> Page:
        encoding = self._resolved(check_encoding(parameters.encoding or self._encoding))
        size = self._ranges.size
        offset = min(parameters.offset, size)
        mark = mark_length(self._head, encoding)
        if offset < mark:
            offset = mark
        offset = self._aligned(offset, encoding)
        data = self._ranges.read(offset, TEXT_PAGE_BYTES)
        last = offset + len(data) >= size or len(data) < TEXT_PAGE_BYTES
        text, pending, state = self._decoded(data, offset, encoding, last)
        if data and pending == len(data) and not last:  # one unit fills the page: cut it rather than stay here
            text, pending, state = self._decoded(data, offset, encoding, True)
        end = offset + len(data) - pending
        if state and end < size and len(self._states) < _STATES_MAX:
            self._states[encoding, end] = state
        if offset == mark:
            offset = 0  # the mark is of this page, though it is not shown
        return {"encoding": encoding, "offset": offset, "end": end, "size": size, "text": clean(text)}, []

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
            for byte in self._ranges.read(offset, 3):
                if byte & 0xC0 != 0x80:
                    break
                offset += 1
            return offset
        if encoding.startswith("utf-32"):
            return offset + -offset % 4
        if encoding.startswith("utf-16"):
            offset += offset % 2
            high = 0 if encoding.endswith("be") else 1
            unit = self._ranges.read(offset, 2)
            return offset + 2 if len(unit) == 2 and 0xDC <= unit[high] <= 0xDF and offset else offset
        return offset
