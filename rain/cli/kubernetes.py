"""`rain k8s`: the manifest of governors in Kubernetes, on standard output."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
from typing import Annotated

import typer

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes


def k8s(
    image: Annotated[str, typer.Option(metavar="IMAGE", help="container image with Rain in its Python")],
    server: Annotated[
        str, typer.Option(metavar="ADDR[,…]", help="address of the server for pods (default: the one on this host)")
    ] = "",
    places: Annotated[int, typer.Option(metavar="N", help="how many pods")] = 1,
    cpus: Annotated[int, typer.Option(metavar="N", help="cpus of each pod")] = 1,
    gpus: Annotated[int, typer.Option(metavar="N", help="GPUs of each pod")] = 0,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="memory of each pod, as 16G (default: no limit)")] = "",
    time: Annotated[
        str, typer.Option(metavar="TIME", help="time after which each governor leaves, as 2:00:00 (default: none)")
    ] = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="name of the Job")] = "rain",
    namespace: Annotated[str, typer.Option(metavar="NAME", help="namespace (default: that of kubectl)")] = "",
    secret: Annotated[
        str, typer.Option(metavar="NAME", help="a Secret that exists, with the token as `token` (default: a new one)")
    ] = "",
    python: Annotated[str, typer.Option(metavar="PATH", help="the image's Python with Rain")] = "",
    user: Annotated[int, typer.Option(metavar="UID", help="the user as whom governors run")] = 1000,
    host_network: Annotated[
        bool,
        typer.Option("--host-network", help="use the nodes' networks, so that clients outside can reach governors"),
    ] = False,
    gpu_resource: Annotated[
        str, typer.Option(metavar="NAME", help="the name of GPUs as a resource")
    ] = "nvidia.com/gpu",
) -> None:
    """Print a manifest that runs governors in Kubernetes. Usage: rain k8s --image … | kubectl apply -f -"""
    from rain.deploy.engines.jobs import check_reachable
    from rain.deploy.kubernetes.manifest import Wanted, manifest
    from rain.governor.surroundings.leaving import parse_duration

    address, token = _server(server, bool(secret))
    for one in address.split(","):
        check_reachable(one, "Kubernetes")
    wanted = Wanted(
        image,
        address,
        places,
        cpus,
        gpus,
        parse_bytes(memory) if memory else 0,
        math.ceil(parse_duration(time)) if time else 0,
        name,
        namespace,
        secret,
        python,
        user,
        host_network,
        gpu_resource,
    )
    text = manifest(wanted, token)
    if not secret:
        _keep_to_user(sys.stdout.fileno())
    sys.stdout.write(text)


def _server(asked: str, has_secret: bool) -> tuple[str, str]:
    """The server's addresses for pods, and the token for governors; none is needed where there is a Secret."""
    from rain.common.protocol.address import format_address, parse_address
    from rain.deploy.start import known_server

    addresses = [format_address(*parse_address(each)) for each in asked.split(",")] if asked else []
    named = ",".join(map(_reachable, addresses))
    if has_secret and named:
        return named, ""
    for each in addresses[:-1]:  # this host may know the server by one of its addresses only
        with contextlib.suppress(RainException):
            return named, known_server(each)[1].credentials.token("governor")
    file = known_server(addresses[-1] if addresses else None)[1]
    return named or _reachable(file.address), file.credentials.token("governor")


def _reachable(address: str) -> str:
    """The addresses of a server as others know it: one that listens on all has each of this host."""
    from rain.common.protocol.address import format_address, is_wildcard, parse_address
    from rain.host.network.addresses import own_addresses

    host, port = parse_address(address)
    return ",".join(format_address(own, port) for own in own_addresses()) if is_wildcard(host) else address


def _keep_to_user(descriptor: int) -> None:
    """Make a file that gets a token readable by its user alone, also if a shell has just made it."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
        sys.stderr.write("the manifest holds a token: its file is now yours alone (mode 0600)\n")
