"""Jupyter notebooks: their cells in order, as texts."""

from __future__ import annotations

from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.limits import NOTEBOOK_BYTES_MAX, NOTEBOOK_CELL_CHARS, NOTEBOOK_CELLS_MAX
from rain.notebook.inspectors.sanitize import clean, cut, visible
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.protocol.data import NamedPart, PreviewPage
from rain.notebook.protocol.requests import Inspect


class NotebookViewer:
    """One page: kind and source of each cell, and what its outputs say as text."""

    def __init__(self, subject: Subject) -> None:
        size = subject.ranges.size
        if size > NOTEBOOK_BYTES_MAX:
            limit = f"NOTEBOOK_BYTES_MAX, {size_text(NOTEBOOK_BYTES_MAX)}"
            raise RainException(f"the notebook has {size_text(size)}, over the limit for notebooks ({limit})")
        try:
            found = msgspec.json.decode(subject.ranges.read(0, size))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise RainException(f"this is no notebook: {cut(str(error))}") from None
        cells = found.get("cells") if isinstance(found, dict) else None
        if not isinstance(cells, list):
            raise RainException("this is no notebook of version 4: it has no cells")
        self._cells = [cell for cell in cells if isinstance(cell, dict)]
        self._language = _at(found, "metadata", "kernelspec", "display_name") or _at(
            found, "metadata", "language_info", "name"
        )

    def page(self, asked: Inspect) -> PageWithBuffers:
        parts = [part for cell in self._cells[:NOTEBOOK_CELLS_MAX] for part in _parts(cell)]
        left = len(self._cells) - NOTEBOOK_CELLS_MAX
        summary = [("cells", f"{len(self._cells):,}")]
        summary += [("kernel", cut(visible(self._language)))] if isinstance(self._language, str) else []
        page = PreviewPage(
            type="notebook",
            summary=summary,
            text="",
            columns=[],
            index=[],
            rows=[],
            bins=None,
            parts=parts,
            width=0,
            height=0,
            note=f"The first {NOTEBOOK_CELLS_MAX} cells; see the text for all." if left > 0 else "",
        )
        return page, []


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _joined(lines: Any) -> str:
    """A text of a notebook, which is a string or a list of lines."""
    if isinstance(lines, list):
        lines = "".join(line for line in lines if isinstance(line, str))
    return cut(clean(lines), NOTEBOOK_CELL_CHARS) if isinstance(lines, str) else ""


def _parts(cell: dict[str, Any]) -> list[NamedPart]:
    kind, number = str(cell.get("cell_type")), cell.get("execution_count")
    name = f"[{number if isinstance(number, int) else ' '}]" if kind == "code" else ""
    parts = [NamedPart(name, cut(visible(kind), 20), _joined(cell.get("source")))]
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        if isinstance(output, dict):
            said = _joined(output.get("text")) or _joined(_at(output, "data", "text/plain"))
            failed = output.get("ename")
            said = said or (cut(visible(f"{failed}: {output.get('evalue')}")) if isinstance(failed, str) else "")
            if said:
                parts.append(NamedPart("", "output", said))
    return parts
