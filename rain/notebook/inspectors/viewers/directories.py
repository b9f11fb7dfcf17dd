"""Directories, a page of names at a time, looked up where the directory lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.notebook.inspectors.limits import DIRECTORY_PAGE_ENTRIES
from rain.notebook.inspectors.parameters import Parameters
from rain.notebook.inspectors.sanitize import escape_name
from rain.notebook.inspectors.subject import Page

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

    def page(self, parameters: Parameters) -> Page:
        entries, total = self._reader.entries(self._path, parameters.offset, DIRECTORY_PAGE_ENTRIES)
        shown = [
            {
                "name": escape_name(entry.name),
                "kind": entry.kind,
                "size": entry.size if entry.kind == "file" else None,
                "target": escape_name(entry.target) if entry.kind == "link" else None,
            }
            for entry in entries
        ]
        return {"entries": shown, "offset": min(parameters.offset, total), "total": total}, []
