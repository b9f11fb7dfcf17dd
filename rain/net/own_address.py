"""The address at which other hosts reach this one."""

from __future__ import annotations

import ipaddress
import socket

from rain.common.errors import RainException
from rain.host.network.addresses import is_usable

_ELSEWHERE = "192.0.2.1"  # for documentation (RFC 5737): nothing is sent to it


def own_address() -> str:
    """An address of this host beyond loopback: the one that its name has, else the one of its default route.

    Returns
    -------
    str

    Raises
    ------
    RainException
        If it has none.
    """
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    for *_, address in found:
        if _is_reachable(str(address[0])):
            return str(address[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE, 9))
            own = str(probe.getsockname()[0])
        except OSError:
            own = "127.0.0.1"
    if _is_reachable(own):
        return own
    raise RainException(
        f"this host, {socket.gethostname()}, has no address beyond loopback that its name or a default route tells: "
        "give the one at which other hosts reach it, host=…"
    )


def _is_reachable(text: str) -> bool:
    return is_usable(ipaddress.ip_address(text.partition("%")[0]))
