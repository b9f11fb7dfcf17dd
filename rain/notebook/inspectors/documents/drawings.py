"""SVG as an image: the browser draws it in an <img>, where no script runs and nothing is loaded."""

from __future__ import annotations

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import SVG_BYTES_MAX
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.protocol.data import ImagePage
from rain.notebook.protocol.requests import Inspect


class SvgViewer:
    """The whole drawing."""

    def __init__(self, subject: Subject) -> None:
        size = subject.ranges.size
        if size > SVG_BYTES_MAX:
            limit = f"SVG_BYTES_MAX, {size_text(SVG_BYTES_MAX)}"
            raise RainException(f"the drawing has {size_text(size)}, over the limit for drawings ({limit})")
        self._data = subject.ranges.read(0, size)
        if b"<!ENTITY" in self._data:
            raise RainException("the drawing declares entities, which can make a few bytes many: see its text")
        if b"<svg" not in self._data:
            raise RainException("this is no SVG drawing")

    def page(self, asked: Inspect) -> PageWithBuffers:
        return ImagePage(mime="image/svg+xml", width=0, height=0), [self._data]
