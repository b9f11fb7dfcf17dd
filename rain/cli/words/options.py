"""Options that more than one command has, or that need many words."""

from __future__ import annotations

from typing import Annotated

import typer

Server = Annotated[str | None, typer.Argument(metavar="[ADDR]", help="PORT, HOST or HOST:PORT; default: the one here")]
HostsOption = Annotated[
    str | None, typer.Option(metavar="LIST", help="one governor, started over ssh, on each: node1,me@node2:2222")
]
JournalOption = Annotated[
    str,
    typer.Option(
        metavar="FOLDER|none",
        help="where the server records what it must not forget, so that it comes back after its death "
        "(default: a folder that is the same for the same port)",
    ),
]
DurableOption = Annotated[
    bool, typer.Option("--durable", help="bring to the disk what the server acknowledges: survives a loss of power")
]
SshOption = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="for ssh -o; may be repeated")]
TokenFile = Annotated[str | None, typer.Option("--token-file", metavar="FILE", help="holds the server's token")]
MetricsOption = Annotated[bool, typer.Option("--metrics", help="figures for Prometheus at /metrics of the HTTP port")]
