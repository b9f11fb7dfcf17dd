"""What a saved notebook keeps of a data instance: a few lines of plain text, the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

from rain.common.errors import RainException
from rain.common.formatting import size_text
from rain.notebook.inspectors.inspection import Inspection
from rain.notebook.inspectors.limits import STATIC_LINE_CHARS, STATIC_LINES
from rain.notebook.inspectors.sanitize import cut, visible
from rain.notebook.protocol.data import (
    DirectoryPage,
    HexPage,
    ImagePage,
    Page,
    PicklePage,
    PreviewPage,
    TablePage,
    TextPage,
    TreePage,
)
from rain.notebook.protocol.requests import Inspect

if TYPE_CHECKING:
    from rain.objects.data_instance import DataInstance

_COLUMNS = 8
_WIDTH_CHARS = 16


def static_text(instance: DataInstance) -> str:
    """A data instance in some lines: what it is, and how it begins. Control characters are escaped.

    Parameters
    ----------
    instance : DataInstance

    Examples
    --------
    >>> from rain.common import DataInstance
    >>> from rain.objects.readers import BytesReader
    >>> print(static_text(DataInstance(BytesReader(b"one\\ntwo\\n"), None)))
    data: no content type, 8 bytes
      one
      two
    """
    return text_of_page(title_of(instance), first_page(instance)[0])


def title_of(instance: DataInstance) -> str:
    """Name, kind and size of a data instance in a line."""
    label = instance.spec.label if instance.spec is not None else None
    kind = "directory" if instance.reader.is_dir else instance.content_type or "no content type"
    return f"{cut(label, 60) if label else 'data'}: {cut(kind, 60)}, {size_text(instance.size)}"


def first_page(instance: DataInstance) -> tuple[Page | None, Sequence[bytes]]:
    """What an inspector opens with, and its buffers; None if that cannot be shown."""
    try:
        answer, buffers = Inspection(lambda: instance).page(Inspect())
    except RainException:
        return None, ()
    return answer.page, buffers


def text_of_page(title: str, page: Page | None) -> str:
    """`title`, and below it the beginning of what `first_page` gave, in some lines."""
    lines = [] if page is None else _lines_of(page)
    more = ["…"] if len(lines) > STATIC_LINES else []
    shown = [cut(visible(line), STATIC_LINE_CHARS) for line in lines[:STATIC_LINES]]
    return "\n".join([visible(title), *(f"  {line}".rstrip() for line in shown + more)])


@singledispatch
def _lines_of(page: Page) -> list[str]:
    return []


@_lines_of.register
def _(page: TextPage) -> list[str]:
    return [line.expandtabs() for line in page.text.splitlines()[: STATIC_LINES + 1]]


@_lines_of.register
def _(page: HexPage) -> list[str]:
    return [f"{row.offset:08x}  {row.hex:<47}  {row.text}" for row in page.rows[: STATIC_LINES + 1]]


@_lines_of.register
def _(page: TreePage) -> list[str]:
    node = page.node
    if node.children is None or (node.text and len(node.text) < STATIC_LINE_CHARS):
        return [node.text]
    lines = []
    for child in node.children[: STATIC_LINES + 1]:
        size = "" if child.count is None else f" of {child.count}"
        lines.append(f"{cut(child.label, 40)}: {child.text or child.kind + size}")
    return lines


@_lines_of.register
def _(page: TablePage) -> list[str]:
    names = [column.name for column in page.columns]
    grid = [["", *names[:_COLUMNS]]]
    for label, row in zip(page.index[:STATIC_LINES], page.rows[:STATIC_LINES], strict=False):
        grid.append([label, *row[:_COLUMNS]])
    lines = _grid_lines(grid)
    return lines if len(names) <= _COLUMNS else [f"{line}  …" for line in lines]


def _grid_lines(grid: list[list[str]]) -> list[str]:
    width = max(map(len, grid))
    cells = [[cut(visible(value), _WIDTH_CHARS) for value in row] + [""] * (width - len(row)) for row in grid]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(value.rjust(size) for value, size in zip(row, widths, strict=True)) for row in cells]


@_lines_of.register
def _(page: ImagePage) -> list[str]:
    return [f"{page.mime}, {page.width} x {page.height} pixels"]


@_lines_of.register
def _(page: DirectoryPage) -> list[str]:
    lines = []
    for entry in page.entries[: STATIC_LINES + 1]:
        if entry.kind == "file":
            lines.append(f"{entry.name}  {entry.size_text}")
        else:
            lines.append(f"{entry.name}/" if entry.kind == "dir" else f"{entry.name} -> {entry.target}")
    return lines


@_lines_of.register
def _(page: PreviewPage) -> list[str]:
    lines = [f"{page.type}: {', '.join(f'{name} {text}' for name, text in page.summary)}".rstrip(": ")]
    if page.rows:
        grid = [["", *(column.name for column in page.columns)], *map(_labelled, page.index, page.rows)]
        lines += _grid_lines([row[: _COLUMNS + 1] for row in grid[:STATIC_LINES]])
    lines += [f"{part.name}: {part.text}" for part in page.parts[:STATIC_LINES]]
    return lines + page.text.splitlines()[:STATIC_LINES]


def _labelled(label: str, row: list[str]) -> list[str]:
    return [label, *row]


@_lines_of.register
def _(page: PicklePage) -> list[str]:
    return [f"{name}: {text}" for name, text in page.summary]
