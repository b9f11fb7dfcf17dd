"""The preview of a value: what an executor says of it, where the data lie; nothing is loaded here."""

from __future__ import annotations

import msgspec

from rain.common.errors import RainException
from rain.common.protocol.previews import Head, Preview, decode_preview
from rain.notebook.inspectors.sanitize import clean, visible
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.protocol.data import Bins, Column, NamedPart, PreviewPage
from rain.notebook.protocol.requests import Inspect


class PreviewViewer:
    """One page, asked for once."""

    def __init__(self, subject: Subject) -> None:
        if subject.ask is None:
            raise RainException("there is no executor to ask for a preview of these data")
        try:
            self._preview = decode_preview(subject.ask("preview", b""))
        except TimeoutError:
            raise RainException("no executor has answered yet; ask again") from None
        except msgspec.MsgspecError as error:
            raise RainException(f"what the executor said cannot be read: {error}") from None

    def page(self, asked: Inspect) -> PageWithBuffers:
        return page_of(self._preview)


def page_of(preview: Preview) -> PageWithBuffers:
    """A preview as a page, and its picture."""
    head, bins, picture = preview.head or Head([], [], []), preview.histogram, preview.picture
    page = PreviewPage(
        type=visible(preview.type),
        summary=[(visible(name), visible(text)) for name, text in preview.summary],
        text=clean(preview.text),
        columns=[Column(visible(name), visible(kind)) for name, kind in head.columns],
        index=list(map(visible, head.index)),
        rows=[list(map(visible, row)) for row in head.rows],
        bins=None if bins is None else Bins(bins.counts, bins.low, bins.high, visible(bins.of)),
        parts=[NamedPart(visible(part.name), visible(part.type), visible(part.text)) for part in preview.fields],
        width=0 if picture is None else picture.width,
        height=0 if picture is None else picture.height,
        note=visible(preview.note),
    )
    return page, [] if picture is None else [picture.data]
