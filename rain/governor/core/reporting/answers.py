"""Orders of the server that are answered later."""

from __future__ import annotations

from rain.common.ids import ID


class TakeBackRequest:
    """A `TakeBack` that waits for executors' answers; answered at once, with all that could be had."""

    __slots__ = ("given", "open")

    def __init__(self) -> None:
        self.open = 0
        self.given: list[tuple[ID, int]] = []
