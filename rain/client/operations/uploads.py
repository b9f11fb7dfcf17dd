"""Bringing large constants to the server's host before they are submitted."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from rain.client.operations.constant_values import Value, new_name
from rain.client.operations.operation import Operation
from rain.net.transfer import put_pieces
from rain.net.transport import open_data

if TYPE_CHECKING:
    from rain.client.operations.connection import Connection


def upload(connection: Connection, values: list[Value]) -> Operation[None]:
    """Bring these values to the server: into its folder on this host, or over a data connection."""
    for value in values:
        if value.name:
            continue
        room = connection.room
        if room is not None and room.folder():
            yield connection.link.in_thread(functools.partial(value.put_down, room))
        else:
            yield connection.link.call(connection.link.through_outages(functools.partial(put, connection, value)))


async def put(connection: Connection, value: Value) -> None:
    """Send a large constant to a server on another host."""
    link = connection.link
    data = await open_data(link.address, link.credentials, pinned=True)
    try:
        name = new_name()
        value.checksum = await put_pieces(data, name, value.size, [value.view()], link.welcome.conversation)
        value.name = name
    finally:
        data.close()
