"""Requests that a browser says again because no answer came: which are carried out, and what was answered before.

A message can get lost between kernel and page: Jupyter's server drops all messages of a kernel, answers included, while
a cell writes more than the server passes on, and a request that comes before the page has a subshell waits for the end
of the cell. So a page says again, with the same number, what has had no answer for a while.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

KEPT_MAX = 256
"""Requests of a widget of which it is known that they came; pages wait for far fewer at a time."""
ON_ITS_WAY_S = 3.0
"""For so long after an answer a repeated request has crossed it."""

Content = dict[str, Any]


class Repeats:
    """What came of the newest requests of one widget; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, tuple[float | None, Content | None]] = OrderedDict()

    def take(self, number: int, now: float) -> tuple[bool, Content | None]:
        """A request has come.

        Parameters
        ----------
        number : int
            That it bears.
        now : float
            In seconds of a clock that does not jump.

        Returns
        -------
        tuple of bool and (dict or None)
            Whether it is to be carried out, and the content of the answer that is to be sent again.
        """
        with self._lock:
            known = self._known.get(number)
            if known is not None:
                answered_at, content = known
                if answered_at is None or now - answered_at < ON_ITS_WAY_S:
                    return False, None
                if content is not None:
                    self._known[number] = now, content
                    return False, content
            self._known[number] = None, None
            self._known.move_to_end(number)
            while len(self._known) > KEPT_MAX:
                self._known.popitem(last=False)
            return True, None

    def answered(self, number: int, content: Content | None, now: float) -> None:
        """An answer is sent.

        Parameters
        ----------
        number : int
            Of the request.
        content : dict or None
            What to send again if the answer gets lost; None: the request may be carried out again.
        now : float
        """
        with self._lock:
            if number in self._known:
                self._known[number] = now, content

    def forget(self, number: int) -> None:
        """A request was refused before anything was done."""
        with self._lock:
            self._known.pop(number, None)
