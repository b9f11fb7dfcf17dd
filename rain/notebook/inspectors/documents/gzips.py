"""The beginning of a gzip file as what it is without gzip."""

from __future__ import annotations

import zlib

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import GZIP_READ_BYTES_MAX, GZIP_SHOWN_BYTES_MAX
from rain.notebook.inspectors.subject import PageWithBuffers, Subject, Viewer
from rain.notebook.protocol.requests import Inspect
from rain.objects.readers import BytesReader

MAGIC = b"\x1f\x8b\x08"
_GZIP = 16 + zlib.MAX_WBITS


def inflated(subject: Subject) -> tuple[Subject, str]:
    """The beginning of what is in a gzip file, and a note if that is not all.

    Raises
    ------
    RainException
        If it is damaged.
    """
    source = subject.ranges.read(0, GZIP_READ_BYTES_MAX)
    machine = zlib.decompressobj(_GZIP)
    try:
        data = machine.decompress(source, GZIP_SHOWN_BYTES_MAX)
    except zlib.error as error:
        raise RainException(f"the gzip file is damaged: {error}") from None
    if not data and not machine.eof:
        raise RainException("the gzip file is cut off")
    name = subject.name.removesuffix(".gz") if subject.name.endswith(".gz") else subject.name
    note = "" if machine.eof else f"The first {size_text(len(data))} of what is in the gzip file."
    return Subject(BytesReader(data), None, name), note


class InflatedViewer:
    """A viewer of what is in a gzip file."""

    def __init__(self, inner: Viewer, note: str) -> None:
        self._inner = inner
        self._note = note

    def page(self, asked: Inspect) -> PageWithBuffers:
        page, buffers = self._inner.page(asked)
        page.note = " ".join(filter(None, (self._note, page.note)))
        return page, buffers
