"""Previews that are kept beside their objects: bytes that the governor does not read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import PREVIEWS_BYTES_MAX

_ENTRY_BYTES = 200
"""What one takes beside its bytes."""


class Previews:
    """The previews of a governor's objects, and why some have none.

    Examples
    --------
    >>> previews = Previews()
    >>> previews.keep(ID(1, 2), b"...")
    >>> previews.get(ID(1, 2)), previews.get(ID(1, 3))
    (b'...', None)
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[ID, bytes | str] = OrderedDict()
        self._bytes = 0

    def get(self, id: ID) -> bytes | None:
        """The preview of an object; None if none was made.

        Raises
        ------
        RainException
            If making it was given up, which would be so again.
        """
        found = self._kept.get(id)
        if found is None:
            return None
        self._kept.move_to_end(id)
        if isinstance(found, str):
            raise RainException(found)
        return found

    def keep(self, id: ID, preview: bytes | str) -> None:
        """Keep a preview, or (text) why there is none; the longest unused go when there are too many."""
        self.drop([id])
        self._kept[id] = preview
        self._bytes += len(preview) + _ENTRY_BYTES
        while self._bytes > PREVIEWS_BYTES_MAX:
            self.drop([next(iter(self._kept))])

    def drop(self, ids: Iterable[ID]) -> None:
        """These objects are gone."""
        if self._kept:
            for id in ids:
                found = self._kept.pop(id, None)
                if found is not None:
                    self._bytes -= len(found) + _ENTRY_BYTES

    def drop_session(self, session_id: int) -> None:
        """All objects of a session are gone."""
        self.drop([id for id in self._kept if id.session_id == session_id])
