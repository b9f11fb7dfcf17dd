"""The magics of ``%load_ext rain.notebook``, and what they do as plain functions.

==========================  =============================================================
``%rain_connect``           `connect`: a server or a private cluster, and a default session
``%%rain_remote``           `remote_cell`: tasks from a cell
``%rain_submit``            `submit`
``%rain_wait``              `wait`
``%rain_fetch NAME``        `fetch`
``%rain_graph``             `graph`: the active session, shown
``%rain_tasks``             `tasks`: a table as text
``%rain_status``            `status`: the client, shown
``%rain_inspect EXPR``      `inspect`: data, shown
==========================  =============================================================

Each magic has help (``%rain_connect?``) and completes its options.
"""

from __future__ import annotations

from typing import Any

from rain.notebook.magics.api import connect, disconnect, fetch, graph, inspect, status, submit, tasks, wait
from rain.notebook.magics.cell import remote_cell, remote_cell_async

__all__ = [
    "connect",
    "disconnect",
    "fetch",
    "graph",
    "inspect",
    "load",
    "remote_cell",
    "remote_cell_async",
    "status",
    "submit",
    "tasks",
    "unload",
    "wait",
]


def load(shell: Any) -> None:
    """Add the magics to an IPython shell.

    Parameters
    ----------
    shell : IPython.InteractiveShell
    """
    from rain.notebook.magics import completion, echo, input_transform
    from rain.notebook.magics.magics import RainMagics

    shell.register_magics(RainMagics(shell))
    input_transform.install(shell)
    completion.install(shell)
    echo.install(shell)


def unload(shell: Any) -> None:
    """Take away what `load` added; connections stay.

    Parameters
    ----------
    shell : IPython.InteractiveShell
    """
    from rain.notebook.magics import completion, echo, input_transform
    from rain.notebook.magics.magics import NAMES

    echo.remove(shell)
    completion.remove(shell)
    input_transform.remove(shell)
    magics = shell.magics_manager.magics
    magics["cell"].pop("rain_remote", None)
    for name in NAMES:
        magics["line"].pop(name, None)
