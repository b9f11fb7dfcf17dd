"""`rain stop`: which server of this user is meant, and its end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rain.common.errors import RainException
from rain.deploy.start import known_server
from rain.host.process_table import is_alive, start_time
from rain.processes import connection_files, private_folders
from rain.processes.launching import stop_guardian
from rain.processes.scratch import CONSTANTS, GOVERNOR, MEMORY_FILES, STORE, clean, remove_left
from rain.server.journal.files import Folder, remove_journal

Known = tuple[Path, connection_files.ConnectionFile]


class WhichServer(RainException):
    """It is not clear which server is meant.

    Attributes
    ----------
    servers : list of (Path, ConnectionFile)
        Those that could be.
    """

    def __init__(self, servers: list[Known]) -> None:
        self.servers = servers
        places = ", ".join(f"{file.address} (started from {file.folder or 'an unknown folder'})" for _, file in servers)
        what = "the server here was not started from this folder" if len(servers) == 1 else "there are several servers"
        super().__init__(f"{what}: {places}. Name the address of the one that is meant, or use --all")


def meant(servers: Sequence[Known], folder: str) -> Known:
    """The server that is meant in `folder` where none is named: the only one that was started from there.

    Raises
    ------
    WhichServer
        If it is another folder's, or there are several.
    """
    if len(servers) == 1 and folder and servers[0][1].folder == folder:
        return servers[0]
    raise WhichServer(list(servers))


def to_stop() -> list[Known]:
    """The servers of this user that `rain start` started: those that live, or if none does, what dead ones left.

    Raises
    ------
    RainException
        If there are none.
    """
    started = [(path, file) for path, file in connection_files.find_all() if file.guardian]
    living = [(path, file) for path, file in started if _lives(file)]
    if not started:
        known_server(None)  # says so where there is none at all
        raise RainException("no server that `rain start` started is known; others end with their process")
    return living or started


def _lives(file: connection_files.ConnectionFile) -> bool:
    return is_alive(file.guardian) and start_time(file.guardian) == file.guardian_start


def find(address: str) -> Known:
    """The server at an address.

    Raises
    ------
    RainException
        If there is none, or it was not started by `rain start`.
    """
    path, file = known_server(address)
    if not file.guardian:
        raise RainException(
            f"the server at {file.address} was not started by `rain start`; end its process: kill {file.pid}"
        )
    return path, file


def stop(server: Known) -> str:
    """End a server, its governors and its guardian; returns the server's address.

    Raises
    ------
    RainException
        If it was gone already.
    """
    path, file = server
    ended = stop_guardian(file.guardian, file.guardian_start)
    path.unlink(missing_ok=True)
    private_folders.tidy()
    if not ended:
        if file.journal:
            _remove_journal(file.journal)
        _remove_left(file)
        raise RainException(f"the server at {file.address} was gone already; its connection file is removed")
    return file.address


def _remove_journal(path: str) -> None:
    """Remove a journal, unless another server goes on with it."""
    with contextlib.suppress(RainException):
        Folder(path).close()
        remove_journal(path, connection_files.KEYS)


def _remove_left(file: connection_files.ConnectionFile) -> None:
    """Remove what a killed guardian could not: logs, unless they were asked for, and the folders of dead daemons."""
    if file.logdir:
        remove_left(file.logdir)
    temporary = tempfile.gettempdir()
    kinds = [(MEMORY_FILES, STORE), (MEMORY_FILES, CONSTANTS)]
    kinds += [(temporary, kind) for kind in (CONSTANTS, GOVERNOR, STORE)]
    for parent, kind in kinds:
        clean(parent, kind, heirs=False)
