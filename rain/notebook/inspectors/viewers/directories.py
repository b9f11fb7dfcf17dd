"""Directories, a page of names at a time, looked up where the directory lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.formatting import size_text
from rain.common.limits import LISTING_ENTRIES_MAX
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

        self._sorted: list[Entry] | None = None
        self._total = 0

    def page(self, asked: Inspect) -> PageWithBuffers:
        if not self._total:
            self._look()
        if self._sorted is None:
            entries, total = self._reader.entries(self._path, asked.offset, DIRECTORY_PAGE_ENTRIES)
            shown = list(map(_shown, entries))
            return DirectoryPage(entries=shown, offset=min(asked.offset, total), total=total, unsorted=True), []
        named = asked.named.casefold()
        found = [entry for entry in self._sorted if named in (entry.text or entry.name).casefold()]
        offset = min(asked.offset, len(found))
        shown = found[offset : offset + DIRECTORY_PAGE_ENTRIES]
        return DirectoryPage(entries=shown, offset=offset, total=len(found)), []

    def _look(self) -> None:
        """Sort the entries, if one answer has all of them; directories do not change."""
        entries, self._total = self._reader.entries(self._path, 0, LISTING_ENTRIES_MAX)
        if self._total <= LISTING_ENTRIES_MAX:
            self._sorted = sorted(map(_shown, entries), key=lambda entry: entry.kind != "dir")


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
