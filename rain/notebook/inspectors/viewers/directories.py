"""Directories, a page of names at a time, looked up where the directory lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import DIRECTORY_PAGE_ENTRIES
from rain.notebook.inspectors.sanitize import escape_name, visible
from rain.notebook.inspectors.subject import PageWithBuffers
from rain.notebook.protocol.data import DirectoryPage, Entry
from rain.notebook.protocol.requests import Inspect

if TYPE_CHECKING:
    from rain.objects.readers import ObjectReader


class DirectoryViewer:
    """Pages of `DIRECTORY_PAGE_ENTRIES` entries of one folder.

    Parameters
    ----------
    reader : ObjectReader
        Of the whole directory.
    path : str
        Of the folder inside; ``""`` is the top.
    """

    def __init__(self, reader: ObjectReader, path: str) -> None:
        self._reader = reader
        self._path = path

    def page(self, asked: Inspect) -> PageWithBuffers:
        entries, total = self._reader.entries(self._path, asked.offset, DIRECTORY_PAGE_ENTRIES)
        offset = min(asked.offset, total)
        return DirectoryPage(entries=list(map(_shown, entries)), offset=offset, total=total), []


def _shown(entry: Any) -> Entry:
    name = escape_name(entry.name)
    text = visible(name)
    size = entry.size if entry.kind == "file" else None
    return Entry(
        name=name,
        kind=entry.kind,
        text=None if text == name else text,
        size=size,
        size_text="" if size is None else size_text(size),
        target=visible(escape_name(entry.target)) if entry.kind == "link" else None,
    )
