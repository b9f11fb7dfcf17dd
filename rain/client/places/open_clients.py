"""The clients of this process that are open: they say goodbye at its end, and interfaces use the newest one."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rain.client.client import Client

_open: weakref.WeakKeyDictionary[Client, None] = weakref.WeakKeyDictionary()  # the newest is the last


def add(client: Client) -> None:
    """A client has connected."""
    _open[client] = None


def discard(client: Client) -> None:
    """A client was closed."""
    _open.pop(client, None)


def newest() -> Client | None:
    """The client that connected last, of those that can be used here."""
    usable = [
        client
        for client in list(_open)
        if client._connection.is_of_this_process and not client._connection.core.over_because
    ]
    return usable[-1] if usable else None


@atexit.register
def _leave() -> None:
    """Say goodbye at the end of the process."""
    for client in list(_open):
        client.close()
