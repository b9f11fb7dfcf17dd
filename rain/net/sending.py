"""Sending much to a peer: not more at a time than it takes, and nothing lost because it is too large."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from rain.common.limits import BACKLOG_BYTES_MAX
from rain.common.protocol.parts import halves
from rain.net.conversation import Conversation
from rain.net.guarded import guarded

log = logging.getLogger("rain.transport")

_PAUSE_MIN_S = 0.005
_PAUSE_MAX_S = 0.1
"""Between looks at a peer that takes nothing: it may be stopped for long."""


class Sender:
    """Sends messages through a conversation.

    While more than `BACKLOG_BYTES_MAX` bytes wait for the peer's acknowledgement, messages wait here, not yet encoded.
    A message that a frame cannot hold goes in parts (`rain.common.protocol.parts`).

    Parameters
    ----------
    conversation : Conversation
    on_unsendable : callable
        Called with a message that cannot be sent, nor cut any further, and the error; in the turn of its `send` or in a
        later one.

    Attributes
    ----------
    patient : bool
        False: nothing waits here, however much the peer has not acknowledged.
    """

    def __init__(self, conversation: Conversation, on_unsendable: Callable[[Any, Exception], None]) -> None:
        self.conversation = conversation
        self.patient = True
        self._on_unsendable = on_unsendable
        self._waiting: deque[Any] = deque()
        self._loop = asyncio.get_running_loop()
        self._pause_s = _PAUSE_MIN_S

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the peer that no more should be made for it."""
        return bool(self._waiting) or self.conversation.backlog_bytes > BACKLOG_BYTES_MAX

    def unheard(self, outgoing: Any) -> list[Any]:
        """As `Conversation.unheard`, and what waits here."""
        return [*self.conversation.unheard(outgoing), *self._waiting]

    def send(self, message: Any) -> None:
        """Send `message`, after all that was sent before."""
        if self._waiting:
            self._waiting.append(message)
        elif self.patient and self.conversation.backlog_bytes > BACKLOG_BYTES_MAX:
            self._waiting.append(message)
            self._pause_s = _PAUSE_MIN_S
            self._loop.call_later(self._pause_s, self._pump)
        else:
            self._send_now(message)

    def send_waiting(self) -> None:
        """Send all that waits, however much the peer has not acknowledged."""
        while self._waiting:
            self._send_now(self._waiting.popleft())

    def _send_now(self, message: Any) -> None:
        try:
            self.conversation.send(message)
        except Exception as error:
            parts = halves(message)
            if parts is None:
                self._on_unsendable(message, error)
            else:
                for part in parts:
                    self._send_now(part)

    @guarded("_pump_failed")
    def _pump(self) -> None:
        waiting, conversation = self._waiting, self.conversation
        while waiting and not conversation.ended:
            if conversation.backlog_bytes > BACKLOG_BYTES_MAX:
                self._loop.call_later(self._pause_s, self._pump)
                self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)
                return
            self._pause_s = _PAUSE_MIN_S
            self._send_now(waiting.popleft())

    def _pump_failed(self, error: Exception) -> None:
        if self._waiting:
            self._loop.call_later(_PAUSE_MAX_S, self._pump)
