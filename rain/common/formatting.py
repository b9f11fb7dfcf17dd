"""Pieces of texts that several parts of Rain write in the same way."""

from __future__ import annotations

import math
import re

from rain.common.errors import RainException
from rain.common.limits import ERROR_OUTPUT_BYTES_MAX, ERROR_TEXT_CHARS_MAX


def is_unicode(text: str) -> bool:
    """Whether `text` can be in a message: it has no lone surrogates, as file names with undecodable bytes have.

    Examples
    --------
    >>> is_unicode("daß"), is_unicode("da\\udcdf")
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def safe_text(text: str) -> str:
    """`text` in a form that can be encoded: characters that have none become escape sequences.

    Examples
    --------
    >>> safe_text("daß"), safe_text("da\\udcdf")
    ('daß', 'da\\\\udcdf')
    """
    return text if is_unicode(text) else text.encode("utf-8", "backslashreplace").decode()


def quote_output(name: str, data: bytes) -> str:
    """The end of what a process wrote, for an error's text.

    Parameters
    ----------
    name : str
        ``"stdout"`` or ``"stderr"``.
    data : bytes
        What it wrote, or the end of it; at most `ERROR_OUTPUT_BYTES_MAX` bytes of it are quoted.

    Examples
    --------
    >>> quote_output("stderr", b"no such file\\n")
    'Content of stderr (last 13 bytes):\\nno such file'
    >>> quote_output("stdout", b"")
    'Nothing was written to stdout.'
    """
    tail = data[-ERROR_OUTPUT_BYTES_MAX:]
    if not tail:
        return f"Nothing was written to {name}."
    return f"Content of {name} (last {len(tail)} bytes):\n" + tail.decode("utf-8", "replace").rstrip("\n")


def shorten(text: str, chars_max: int = ERROR_TEXT_CHARS_MAX) -> str:
    """`text`, without its middle if it is over so many characters."""
    if len(text) <= chars_max:
        return text
    half = chars_max // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters are left out …\n{text[-half:]}"


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:(?<=[kmgt])ib?|b)?", re.IGNORECASE)


def parse_bytes(text: str | int) -> int:
    """How many bytes ``"512M"``, ``"1.5 GiB"`` or a plain number says; units are powers of 1024.

    Raises
    ------
    RainException
        If it is no size.

    Examples
    --------
    >>> parse_bytes("512M"), parse_bytes("1.5 GiB"), parse_bytes("2Gi"), parse_bytes(100)
    (536870912, 1610612736, 2147483648, 100)
    """
    found = _SIZE.fullmatch(str(text).strip()) if not isinstance(text, bool) else None
    size = float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " ") if found is not None else math.inf
    if not math.isfinite(size):
        raise RainException(f"{text!r} is not a size: write a number of bytes, or one with a unit, as 512M or 2G")
    return int(size)


def size_text(size: float) -> str:
    """A number of bytes for users to read.

    Examples
    --------
    >>> size_text(1), size_text(1536), size_text(10 << 30)
    ('1 byte', '1.5 KiB', '10.0 GiB')
    """
    if size < 1024:
        return f"{size:.0f} byte{'s' * (size != 1)}"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1023.95 or unit == "TiB":  # more is written as the next unit: "1024.0" has none
            break
    return f"{size:.1f} {unit}"


def exact_size_text(size: int) -> str:
    """A number of bytes for users to read, and how many they are exactly.

    Examples
    --------
    >>> exact_size_text(17), exact_size_text(1536)
    ('17 bytes', '1.5 KiB (1,536 bytes)')
    """
    return size_text(size) if size < 1024 else f"{size_text(size)} ({size:,} bytes)"


def duration_text(seconds: float) -> str:
    """A duration for users to read; clocks in the browser are written in the same way.

    Parameters
    ----------
    seconds : float

    Examples
    --------
    >>> [duration_text(seconds) for seconds in (0, 0.0004, 0.25, 2.5, 61, 3 * 60 + 7, 2 * 3600 + 5 * 60)]
    ['0 s', '< 1 ms', '250 ms', '2.5 s', '61 s', '3 min 7 s', '2 h 5 min']
    """
    seconds = max(0.0, seconds)
    if seconds < 0.001:
        return "< 1 ms" if seconds else "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min {whole % 60} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def progress_text(done: float | None, total: float | None, note: str) -> str:
    """How far a task is, in a line: without control characters, and those that turn the direction of text.

    Examples
    --------
    >>> progress_text(1200, 4000, "loss 0.1"), progress_text(3, None, "")
    ('1,200 of 4,000 · loss 0.1', '3')
    """
    amounts = " of ".join(f"{amount:,.6g}" for amount in (done, total) if amount is not None)
    return " · ".join(filter(None, (amounts, one_line(note))))


def one_line(text: str) -> str:
    """A text of anywhere in a line of ours.

    Examples
    --------
    >>> one_line("a\\x1b[31m\\nb\\u202ec")
    'a [31m b c'
    """
    return "".join(char if char.isprintable() else " " for char in text)
