"""What is being looked at: one blob, with what is known of it; and what a viewer of it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from rain.notebook.inspectors.limits import BLOCK_BYTES, MORE_READ_BYTES_MAX, OPEN_READ_BYTES_MAX
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.protocol.data import AnyPage

if TYPE_CHECKING:
    from rain.notebook.protocol.requests import Inspect
    from rain.objects.readers import ObjectReader

Ask = Callable[[str, bytes], bytes]
PageWithBuffers = tuple[AnyPage, list[bytes]]
"""What a viewer answers: a page, and what comes beside it."""


class Subject:
    """A blob: an object, or a file in a directory.

    Parameters
    ----------
    reader : ObjectReader
    content_type : str or None
    name : str
        Of the file, or the label of the object; its extension may tell what is in it.
    ask : callable, optional
        ``ask(what, asked) -> bytes``: what an executor says that looks into it (a view of `rain.executor.views`).
    encoded : bool
        As of `rain.common.spec.ObjectInfo`: whether the value may be loaded before the user asks for that.
    """

    def __init__(
        self,
        reader: ObjectReader,
        content_type: str | None = None,
        name: str = "",
        ask: Ask | None = None,
        encoded: bool = False,
    ) -> None:
        self.reader = reader
        self.content_type = content_type
        self.name = name
        self.ask = ask
        self.encoded = encoded
        self.ranges = Ranges(reader.read, reader.size)

    @cached_property
    def head(self) -> bytes:
        """The first block."""
        return self.ranges.read(0, BLOCK_BYTES)

    @property
    def extension(self) -> str:
        """Of the name, in small letters, without the dot."""
        return self.name.rpartition(".")[2].lower() if "." in self.name else ""


class Viewer(Protocol):
    """Makes the pages of one view of a subject; kept while the subject is looked at, so it may remember what it read.

    Raises `RainException` for whatever it cannot show.
    """

    def __init__(self, subject: Subject) -> None: ...

    def page(self, asked: Inspect) -> PageWithBuffers:
        """One page."""


class Allowance:
    """How much may be read for one page: little at first, more when more is asked for."""

    def __init__(self, ranges: Ranges, first: bool) -> None:
        self._ranges = ranges
        self._until = ranges.bytes_read + (OPEN_READ_BYTES_MAX if first else MORE_READ_BYTES_MAX)

    @property
    def left(self) -> bool:
        """Whether another block may be read."""
        return self._ranges.bytes_read < self._until
