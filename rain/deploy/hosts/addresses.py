"""By which addresses a host may reach a server here."""

from __future__ import annotations

import socket
import subprocess

from rain.common.limits import HOST_CONNECT_S
from rain.common.protocol.address import format_address, is_loopback, is_wildcard, parse_address
from rain.deploy.hosts.ssh import Ssh, Target
from rain.host.network.addresses import own_addresses


def addresses_for(ssh: Ssh, target: Target, server: str) -> list[str]:
    """The addresses of the server by which a host may reach it, the likeliest first: governors try them in turn.

    Parameters
    ----------
    ssh : Ssh
    target : Target
    server : str
        ``host:port`` at which it listens.
    """
    own, port = parse_address(server)
    if not is_wildcard(own):
        return [server]
    found = own_address_towards(ssh, target)
    first = [found] if found else [socket.gethostname()]  # ssh may know a host that the resolver does not
    return [format_address(name, port) for name in dict.fromkeys([*first, *own_addresses()])]


def own_address_towards(ssh: Ssh, target: Target) -> str:
    """The address of this machine from which it reaches a host; empty if that is not known, or goes by a jump host."""
    host = _name_of(ssh, target)
    if not host:
        return ""
    try:
        # A datagram socket finds the route without sending anything.
        family, _, _, _, where = socket.getaddrinfo(host, 22, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(where)
            found = str(probe.getsockname()[0])
    except OSError:
        return ""
    return "" if is_loopback(found) else found


def _name_of(ssh: Ssh, target: Target) -> str:
    """What ssh's configuration makes of a host's name; empty where it goes through another host."""
    words = ssh.command(target, "")
    try:
        told = subprocess.run(
            [words[0], "-G", *words[1:-1]], capture_output=True, text=True, timeout=HOST_CONNECT_S,
            stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return target.host  # `ssh` says what is wrong when it is used
    values = dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)
    if values.get("proxyjump", "none") != "none" or values.get("proxycommand", "none") != "none":
        return ""
    return values.get("hostname", target.host)
