"""Pieces of error texts that several parts of Rain write in the same way."""

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
