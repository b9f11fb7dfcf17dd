"""How the results of a session begin, for the file of a report: first pages of kept objects, bounded."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from rain.common.protocol.encoding import encode_json
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


def previews_of(
    session: Session, view: View, deadline: float, hide: Callable[[str], str]
) -> tuple[dict[str, Preview], str]:
    """The first pages of the session's results: what is kept, or small enough to be an argument's neighbour.

    Parameters
    ----------
    session : Session
    view : View
    deadline : float
        By `time.monotonic`; what is not read until then is left out.
    hide : callable
        Takes secrets out of a text, before it is cut.

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
    found = _Previews(session, wanted, deadline, hide)
    if wanted:
        found.read()
    shown = dict(found.shown)
    left_out = len(wanted) - len(shown)
    return shown, f"{left_out} results are not shown." if left_out else ""


class _Previews:
    """Reads one result after the other, in a thread that may be left behind.

    What a host does not send, or an executor does not tell, may be waited for in many places below: a report waits for
    this thread until its deadline and no longer.
    """

    def __init__(self, session: Session, wanted: list[int], deadline: float, hide: Callable[[str], str]) -> None:
        self._session, self._wanted, self._deadline, self._hide = session, wanted, deadline, hide
        self._room = BYTES_MAX
        self._enough = False
        self.shown: dict[str, Preview] = {}

    def read(self) -> None:
        """Read what can be read until the deadline."""
        thread = threading.Thread(target=self._read_all, name="rain-report", daemon=True)
        thread.start()
        try:
            thread.join(max(0.0, self._deadline - time.monotonic()))
        finally:
            self._enough = True

    def _read_all(self) -> None:
        for number in self._wanted:
            seconds = self._deadline - time.monotonic()
            if self._enough or seconds <= 0 or self._room <= 0 or len(self.shown) >= PREVIEWS_MAX:
                return
            try:
                shown = self._one(number, seconds)
            except Exception:  # it has gone meanwhile, or cannot be shown; the others can
                continue
            if shown is not None and not self._enough:
                self.shown[f"o{number}"] = shown

    def _one(self, number: int, seconds: float) -> Preview | None:
        answer, pieces = inspection_of(self._session._object(number), seconds).page(Inspect())
        page = answer.page
        if isinstance(page, TablePage) and page.working is not None:
            return None  # an executor still looks through it, and a report asks once
        if isinstance(page, TextPage):
            page = replace(page, text=self._hide(page.text))
        shown = Preview(replace(answer, views=[], page=shortened(page)), _written(pieces))
        size = len(encode_json(shown))
        if size > PREVIEW_BYTES_MAX:
            return None
        self._room -= size
        return shown


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
