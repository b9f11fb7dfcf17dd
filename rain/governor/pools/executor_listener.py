"""A UNIX socket that one executor connects to, once."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable

from rain.common.errors import RainException
from rain.net.guarded import guarded
from rain.processes.scratch import SOCKETS, Scratch

_SOCKET_PATH_BYTES_MAX = 107
_SHORT_FOLDERS = ("/tmp", "/dev/shm", "/var/tmp")


class ExecutorListener:
    """Listens until an executor has connected, or `close`.

    Parameters
    ----------
    path : str
        Of the socket, in a private folder.
    on_connection : callable
        Called with the connected socket.
    on_error : callable
        Called with an error that `on_connection` raised.
    """

    def __init__(
        self, path: str, on_connection: Callable[[socket.socket], None], on_error: Callable[[Exception], None]
    ) -> None:
        self.path = path
        self._on_connection = on_connection
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(path)
            self._socket.listen(1)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._accept)

    @guarded("_broke")
    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        # No other user can reach into the private folder; root could, by mistake.
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (os.geteuid(), 0):
            connection.close()
            return
        self.close()
        self._on_connection(connection)

    def _broke(self, error: Exception) -> None:
        self._on_error(error)

    def close(self) -> None:
        """Listen no more; idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            try:
                os.unlink(self.path)
            except OSError:
                pass


class SocketFolder:
    """Paths for executors' sockets: in a folder of the governor, or elsewhere if its path is too long for sockets."""

    def __init__(self) -> None:
        self._short: Scratch | None = None

    def path(self, folder: str, executor_id: int) -> str:
        """A path for the socket of an executor, in `folder` if that can be.

        Raises
        ------
        RainException
            If there is no folder with a path that is short enough.
        """
        path = os.path.join(folder, f"socket-{executor_id}")
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES_MAX:
            return path
        return os.path.join(self._short_folder(), str(executor_id))

    def _short_folder(self) -> str:
        if self._short is None:
            for parent in _SHORT_FOLDERS:
                if os.access(parent, os.W_OK | os.X_OK):
                    self._short = Scratch(parent, SOCKETS)
                    break
            else:
                raise RainException(f"no folder for its socket can be made in any of {', '.join(_SHORT_FOLDERS)}")
        return self._short.path

    def close(self) -> None:
        """Remove what was made."""
        if self._short is not None:
            self._short.close()
            self._short = None
