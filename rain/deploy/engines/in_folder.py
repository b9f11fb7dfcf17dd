"""`FolderSupplier`: a part of suppliers whose places find what they need in a pool's folder, and tell there."""

from __future__ import annotations

from pathlib import Path

from rain.deploy.pools.folder import PoolFolder
from rain.processes.launching import RAIN


class FolderSupplier:
    """A part of a `Supplier`: all that goes by the folder.

    Parameters
    ----------
    server : str
        ``host:port`` as the places' hosts reach it.
    folder : PoolFolder
        In a folder that this machine and the places' hosts share.
    python : str
        The Python on the hosts that has Rain; empty: this one.
    """

    def __init__(self, server: str, folder: PoolFolder, python: str = "") -> None:
        self._server = server
        self._folder = folder
        self._command = [python, "-P", "-m", "rain"] if python else list(RAIN)

    def governor(self, number: int) -> str:
        """See `Supplier`."""
        return self._folder.governor(number)

    def printed(self, number: int) -> str:
        """See `Supplier`."""
        return self._folder.printed(number, self._log(number))

    def admit(self, token: str) -> None:
        """See `AsksAhead`."""
        self._folder.admit(token)

    def close(self) -> None:
        """See `Supplier`."""
        self._folder.close()

    def tidy(self, keep: bool) -> None:
        """See `Supplier`."""
        if not keep:
            self._folder.remove()

    def _governor_words(self) -> list[str]:
        """What ``rain`` is told for each place."""
        # They may be there before their server is up, and the token is written then (`AsksAhead`).
        return ["governor", self._server, "--token-file", str(self._folder.token), "--token-comes"]

    def _log(self, number: int) -> Path:
        """The file with what place `number` prints."""
        return self._folder.log(number)
