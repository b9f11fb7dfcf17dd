"""Requests and their replies: each reply takes effect when it arrives, in order with updates, and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.client.core import effects as do
from rain.client.core.waiting import Waiting
from rain.common.errors import RainException, SessionException
from rain.common.protocol.messages import Attached, Failed

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore

Replied = Callable[[Any, "RainException | None"], None]


class Request(Waiting):
    """A request to the server; over when the server has replied.

    Attributes
    ----------
    number : int
    replied : callable or None
        Called with the reply, or None and the error, before the operation that waits goes on.
    pieces : list
        The parts of a reply that is not complete.
    """

    __slots__ = ("number", "pieces", "replied")

    def __init__(self, number: int, replied: Replied | None) -> None:
        super().__init__()
        self.number = number
        self.replied = replied
        self.pieces: list[Attached] = []


def ask(core: ClientCore, message: Any, replied: Replied | None = None) -> Request:
    """Send `message` as a request. An operation that yields the request waits for the reply.

    Raises
    ------
    RainException
        If the client is closed or lost.
    """
    core.check()
    return ask_in_pieces(core, [message], replied)


def ask_in_pieces(core: ClientCore, messages: list[Any], replied: Replied | None = None) -> Request:
    """Like `ask` for one request of several messages, also if the client is closed or lost."""
    core.request_count += 1
    request = Request(core.request_count, replied)
    for message in messages:
        message.request = request.number
    core.requests[request.number] = request
    core.emit(do.Send(messages))
    return request


def take_reply(core: ClientCore, message: Any) -> None:
    """The server replied; a second reply to the same request is ignored."""
    request = core.requests.get(message.request)
    if request is None:
        return
    meaning = core.replies.get(type(message))
    if getattr(message, "more", False):
        if type(message) is Attached:
            request.pieces.append(message)
        elif meaning is not None:
            meaning(request, message)
        return
    del core.requests[message.request]
    error: RainException | None = None
    if type(message) is Failed:
        error = (SessionException if message.kind == "session" else RainException)(message.message)
    elif meaning is not None:
        meaning(request, message)
    if request.replied is not None:
        request.replied(None if error else message, error)
    core.over(request, message, error)


def reject_all(core: ClientCore, error: RainException) -> None:
    """Fail all requests: no reply will come any more."""
    requests, core.requests = core.requests, {}
    for request in requests.values():
        core.over(request, None, error)
