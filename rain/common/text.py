"""Pieces of texts that several parts of Rain write in the same way."""

from __future__ import annotations

from rain.common.limits import ERROR_OUTPUT_BYTES_MAX


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


def size_text(size: float) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> size_text(1), size_text(1536), size_text(10 << 30)
    ('1 byte', '1.5 KiB', '10.0 GiB')
    """
    if size < 1024:
        return f"{size:.0f} byte{'s' * (size != 1)}"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024 or unit == "TiB":
            break
    return f"{size:.1f} {unit}"
