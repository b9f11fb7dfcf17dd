"""Which of a server's addresses can be reached from here, and why the others cannot.

A server beyond one host has an address on each of its networks, and a governor elsewhere may reach only some of them:
the name of a login node leads to the interface on the outside, a firewall drops what comes in there, compute nodes have
a network of their own. So a governor is told all of them and tries one after the other.

A server may be away for a moment when a governor is started, also one of a job that has waited for hours: where a
connection is accepted and nothing is said on it, a guardian holds the socket, and the server comes. That is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rain.common.errors import RainException
from rain.common.limits import Deadlines
from rain.common.protocol.address import is_loopback, parse_address
from rain.net.auth import Credentials
from rain.net.handshake import Unanswered
from rain.net.transport import reach

log = logging.getLogger("rain.governor")

R = TypeVar("R")
RECONNECT_PAUSE_S = 0.5


async def once_answered(call: Callable[[], Awaitable[R]], deadlines: Deadlines) -> R:
    """Call until a server answers that is there and says nothing, for `server_sought_s`.

    Raises
    ------
    RainException
        What `call` raises: anything else at once.
    """
    until = asyncio.get_running_loop().time() + deadlines.server_sought_s
    while True:
        try:
            return await call()
        except Unanswered as error:
            if asyncio.get_running_loop().time() > until:
                raise
            log.info("the server is being started, or stands still: %s", error)
        await asyncio.sleep(RECONNECT_PAUSE_S)


async def find_server(addresses: Sequence[str], credentials: Credentials, deadlines: Deadlines) -> str:
    """The first of the addresses at which the server answers; the only one, if there is one, without asking.

    Parameters
    ----------
    addresses : sequence of str
        ``host:port``.
    credentials : Credentials
        With the governor's key: another server, or one with another key, does not count.
    deadlines : Deadlines

    Raises
    ------
    RainException
        If there is none, with what happened at each; `Unanswered` if a server may be at one of them.
    """
    if len(addresses) == 1:
        return addresses[0]
    failures = []
    kind = RainException
    for address in addresses:
        try:
            await reach(address, credentials, "governor", deadlines.handshake_s)
        except RainException as error:
            failures.append(str(error))
            if isinstance(error, Unanswered):
                kind = Unanswered
        else:
            if failures:
                log.info("the server is reached at %s; not elsewhere: %s", address, "; ".join(failures))
            return address
    raise kind(f"the server cannot be reached at any of its {len(addresses)} addresses: {'; '.join(failures)}")


def own_address_towards(server: str) -> str:
    """The address of this host from which it reaches a server.

    Raises
    ------
    RainException
        If there is no way to it.
    """
    where = parse_address(server)
    if is_loopback(where[0]):
        return "127.0.0.1"
    # A datagram socket finds the route without sending anything.
    try:
        family, _, _, _, address = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise RainException(f"the server {server} cannot be reached: {error.strerror}") from None
