"""`rain restart`: replaces a running server by one of this version of Rain."""

from __future__ import annotations

from typing import Annotated

import typer

from rain.cli.words.printing import count
from rain.common.errors import RainException


def restart(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[ADDR]", help="PORT, HOST or HOST:PORT; default: the one started from this folder"),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="only say whether it could; nothing is stopped")] = False,
) -> None:
    """Replace the server of one `rain start` by this version of Rain. Tasks, sessions and clients go on."""
    from rain.deploy import restart as restarting
    from rain.deploy import stop as stopping
    from rain.processes import private_folders

    if address is not None:
        server = stopping.find(address)
    else:
        try:
            server = stopping.meant(stopping.to_stop(), private_folders.here())
        except stopping.WhichServer as error:
            raise RainException(str(error).replace(", or use --all", "")) from None

    def told(trial: restarting.Trial) -> None:
        print(
            f"Rain {trial.version} can go on with {count(trial.sessions, 'session')} ({count(trial.tasks, 'task')}), "
            f"{count(trial.clients, 'client')} and {count(trial.governors, 'governor')}",
            flush=True,
        )

    done = restarting.restart(server, told, check)
    if done is not None:
        print(f"restarted {done.address} in {done.took_s:.1f} s (process {done.pid})")
