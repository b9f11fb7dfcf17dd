"""The `rain` command.

Its daemons (`rain server`, `rain governor`) start without the library (typer) that the other commands are made with.
"""

from __future__ import annotations

import gc
import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command given by `arguments` (None: those of this process), and exit."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words[:1] in (["server"], ["governor"]):
        from rain.cli.daemon import main as daemon

        sys.exit(daemon(words))
    if words == ["guardian"]:  # started by `rain start` and by clients, with a plan on its standard input
        from rain.processes.guardian import main as guardian

        guardian()
        return
    if words[:1] == ["hold"]:  # over ssh (`rain.deploy.hosts`)
        from rain.processes.elsewhere.holding import main as hold

        sys.exit(hold(words[1:], "rain.cli.daemon:forked"))
    if words[:1] == ["hosts"]:  # by `rain start`, below a guardian
        from rain.deploy.hosts.guarded import main as hosts

        sys.exit(hosts(words[1:]))
    if words[:1] == ["pool-keeper"]:  # started by `rain pool add`
        from rain.cli.pool_keeper import keep

        sys.exit(keep(words[1:]))
    if words == ["--version"]:
        from rain import __version__

        print(f"rain {__version__}")
        return
    gc.disable()  # nothing that is imported is garbage
    from rain.cli.commands import run

    gc.enable()
    sys.exit(run(words))
