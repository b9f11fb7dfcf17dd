"""How the results of a session begin, for the file of a report: first pages of kept objects, bounded."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from rain.common.errors import RainException
from rain.notebook.details import inspection_of, why_not_open
from rain.notebook.graph_model import View
from rain.notebook.inspectors.sanitize import cut
from rain.notebook.protocol.data import AnyPage, DirectoryPage, HexPage, TablePage, TextPage, TreePage
from rain.notebook.protocol.report import Preview
from rain.notebook.protocol.requests import Inspect

if TYPE_CHECKING:
    from rain.client.session import Session

PREVIEWS_MAX = 60
PREVIEW_BYTES_MAX = 64 * 1024
"""As JSON, with what comes beside it."""
BYTES_MAX = 400 * 1024
"""Of all previews together."""
ROWS_MAX, TEXT_CHARS_MAX, ITEMS_MAX = 20, 4000, 40
_NOTE = "This is the beginning: the report has no more of it."


def previews_of(session: Session, view: View, deadline: float) -> tuple[dict[str, Preview], str]:
    """The first pages of the session's results: what is kept, or small enough to be an argument's neighbour.

    Parameters
    ----------
    session : Session
    view : View
    deadline : float
        By `time.monotonic`; what is not read until then is left out.

    Returns
    -------
    tuple of (dict of str to Preview, str)
        By key; and a sentence about what is left out, empty if nothing is.
    """
    wanted = [
        number
        for number, record in view.objects.items()
        if record.task is not None and record.kept and why_not_open(session, record) is None  # type: ignore[arg-type]
    ]
    found: dict[str, Preview] = {}
    room, left_out = BYTES_MAX, 0
    for number in wanted:
        seconds = deadline - time.monotonic()
        if len(found) >= PREVIEWS_MAX or room <= 0 or seconds <= 0:
            left_out += 1
            continue
        try:
            answer, pieces = inspection_of(session._object(number), seconds).page(Inspect())
        except (RainException, TimeoutError):  # it has gone meanwhile, or cannot be shown
            left_out += 1
            continue
        if isinstance(answer.page, TablePage) and answer.page.working is not None:
            left_out += 1  # an executor still looks through it, and nobody would ask again
            continue
        shown = Preview(replace(answer, views=[], page=shortened(answer.page)), _written(pieces))
        size = len(msgspec.json.encode(shown))
        if size > PREVIEW_BYTES_MAX:
            left_out += 1
            continue
        room -= size
        found[f"o{number}"] = shown
    return found, f"{left_out} results are not shown." if left_out else ""


def shortened(page: AnyPage) -> AnyPage:
    """The beginning of a page, which says so if it is not all of it."""
    begin: AnyPage = page
    whole = True
    if isinstance(page, TextPage):
        text = page.text[:TEXT_CHARS_MAX]
        whole = text == page.text and page.end == page.size
        end = page.end if text == page.text else page.offset + len(text.encode("utf-8", "replace"))
        begin = replace(page, text=text, end=end, size=end)
    elif isinstance(page, HexPage):
        rows = page.rows[:ROWS_MAX]
        whole = len(rows) == len(page.rows) and page.end == page.size
        end = rows[-1].offset + (len(rows[-1].hex) + 1) // 3 if rows else page.end
        begin = replace(page, rows=rows, end=end, size=end)
    elif isinstance(page, TablePage):
        rows_ = page.rows[:ROWS_MAX]
        wide = len(page.columns)
        whole = page.total == len(rows_) and page.width == wide
        begin = replace(page, rows=rows_, index=page.index[: len(rows_)], total=len(rows_), width=wide)
    elif isinstance(page, DirectoryPage):
        entries = page.entries[:ITEMS_MAX]
        whole = page.total == len(entries)
        begin = replace(page, entries=entries, total=len(entries))
    elif isinstance(page, TreePage) and page.node.children is not None:
        children = page.node.children[:ITEMS_MAX]
        whole = page.node.count == len(children)
        begin = replace(page, node=replace(page.node, children=children, count=len(children)))
    if not whole:
        begin.note = cut(f"{begin.note} {_NOTE}".strip(), 1000)
    return begin


def _written(pieces: list[bytes]) -> list[str]:
    return [base64.b64encode(piece).decode("ascii") for piece in pieces]
