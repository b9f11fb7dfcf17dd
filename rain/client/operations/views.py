"""Views of data that an executor makes where the data lie: previews, and tables that have to be loaded."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from rain.client.handles import inside
from rain.client.operations.operation import Operation, block
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import PREVIEW_S
from rain.common.protocol.messages import DataView
from rain.common.protocol.previews import Preview, decode_preview
from rain.net.transfer import get_view
from rain.net.transport import open_data

if TYPE_CHECKING:
    from rain.client.operations.link import Link
    from rain.client.session import Session

PREVIEW = "preview"
_MORE_S = 5.0
"""Seconds beyond those that an executor has for a preview: for the network, and for previews asked for before."""

Ask: TypeAlias = Callable[[str, bytes, "str | None", "float | None"], bytes]
"""``ask(what, asked, path, timeout)``: what an executor says of one object."""


def view(session: Session, id: ID, what: str, asked: bytes = b"", path: str | None = None) -> Operation[bytes]:
    """What an executor says of a finished object, or of a file inside it.

    Raises
    ------
    RainException
        If it cannot be made, with the reason.
    """
    connection = inside(session).connection
    connection.check(inside(session).mirror)
    if what == PREVIEW and not inside(session).surroundings.previews:
        raise RainException("previews are off in this session (session.previews is False)")
    request = DataView(id, what, asked, None if path is None else os.fsencode(path))
    future = connection.link.call(_ask(connection.link, request))
    try:
        data: bytes = yield future
        return data
    finally:
        future.cancel()  # the waiting thread may have given up: closing the connection ends the executor's work


async def _ask(link: Link, request: DataView) -> bytes:
    async def ask() -> bytes:
        with closing(await open_data(link.address, link.credentials, pinned=True)) as connection:
            return await get_view(connection, request)

    return await link.through_outages(ask)


def preview(session: Session, id: ID) -> Operation[Preview]:
    """What the value of a finished object looks like.

    Raises
    ------
    RainException
        If there is no preview, with the reason.
    """
    return decode_preview((yield from view(session, id, PREVIEW)))


def asker(session: Session, id: ID, before: Callable[[], Operation[None]] | None = None) -> Ask:
    """Asks executors for views of one object, as long as the session's handle lives; `before` brings it to the server,
    where that may not have it yet."""
    known = weakref.ref(session)

    def ask(what: str, asked: bytes, path: str | None = None, timeout: float | None = None) -> bytes:
        session = known()
        if session is None:
            raise RainException("the session of these data is gone")
        if timeout is None and what == PREVIEW:
            timeout = PREVIEW_S + _MORE_S
        if before is not None:
            block(before(), timeout)
        return block(view(session, id, what, asked, path), timeout)

    return ask
