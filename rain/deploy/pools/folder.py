"""The folder of a pool: the governors' token, and what each place is told there and tells."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from rain.common.errors import ResourceError
from rain.objects.dirtree import remove_tree
from rain.objects.files import no_room
from rain.processes.private_folders import check_private, made_dir

_TAIL_LINES = 10
_READ_BYTES_MAX = 65_536


class PoolFolder:
    """A new folder of mode 0700 with the token in a file of mode 0600.

    A governor that has registered makes a file there with its id; what a job prints lies there as well.

    Parameters
    ----------
    token : str
        For governors; empty: `admit` brings it, and they wait for that.
    parent : path-like or None
        Where it is made; None: that of `pools_folder`.

    Attributes
    ----------
    path, token : Path

    Raises
    ------
    RainException
        If it cannot be made, or another user may read `parent`.
    """

    def __init__(self, token: str, parent: str | os.PathLike[str] | None = None) -> None:
        above = made_dir(parent or pools_folder())
        check_private(str(above), "folder of pools", 0o700)
        self.path = above / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
        try:
            self.path.mkdir(0o700)
        except OSError as error:
            raise _refused(self.path, error) from None
        self.token = self.path / "token"
        try:
            self.write(self.token.name, f"{token}\n" if token else "")
        except BaseException:
            self.remove()
            raise

    def write(self, name: str, text: str) -> Path:
        """A new file in the folder, for the user alone; whole, or not there.

        Raises
        ------
        ResourceError
            If it cannot be written.
        """
        path = self.path / name
        data = text.encode("utf-8", "surrogateescape")  # paths may be in it, whose bytes have to be theirs
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()
            raise _refused(path, error) from None
        return path

    def admit(self, token: str) -> None:
        """Write the token of governors that wait for it.

        Raises
        ------
        ResourceError
            If it cannot be written, or the folder is closed.
        """
        try:
            # Into the same file: where the folder is on another host, what opens it again sees what is in it now.
            with open(os.open(self.token, os.O_WRONLY), "w", encoding="ascii") as file:
                file.write(f"{token}\n")
        except OSError as error:
            why = no_room(error, str(self.token)) or f"{self.token} cannot be written: {error.strerror}"
            raise ResourceError(f"governors cannot be given their token: {why}") from None

    def rename(self, name: str, to: str) -> None:
        """Give a file in the folder another name, which also a full disk allows; done already is fine.

        Raises
        ------
        ResourceError
            If that is impossible.
        """
        try:
            (self.path / name).rename(self.path / to)
        except OSError as error:
            if not (self.path / to).exists():
                raise ResourceError(f"{self.path / name} cannot be renamed to {to}: {error.strerror}") from None

    def id_file(self, number: int) -> Path:
        """The file that the governor of place `number` makes when it has registered, with its id."""
        return self.path / f"place-{number}.id"

    def log(self, number: int) -> Path:
        """The file with what place `number` prints."""
        return self.path / f"place-{number}.log"

    def governor(self, number: int) -> str:
        """The id of the governor that has registered from place `number`; empty if none has."""
        try:
            return self.id_file(number).read_text(errors="replace").strip()
        except OSError:
            return ""

    def printed(self, number: int, log: Path | None = None) -> str:
        """The last lines that place `number` printed: into `log`, else into the file of its own."""
        try:
            with open(log or self.log(number), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _READ_BYTES_MAX))
                text = file.read(_READ_BYTES_MAX).decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])

    def close(self) -> None:
        """Remove the token: no further place can come. Idempotent.

        Raises
        ------
        ResourceError
            If it cannot be removed.
        """
        try:
            self.token.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(f"the token of a pool cannot be removed: {self.token}: {error.strerror}") from None

    def remove(self) -> None:
        """Remove all of it."""
        remove_tree(str(self.path))


def _refused(path: Path, error: OSError) -> ResourceError:
    why = no_room(error, str(path)) or f"{path} cannot be written: {error.strerror}"
    return ResourceError(
        f"{why}. A pool needs its folder, which its hosts share: make room there, or name another one "
        "(folder=, or XDG_STATE_HOME). Nothing was asked of the engine for this"
    )


def pools_folder() -> Path:
    """Where folders of pools are made: ``rain/pools`` in ``$XDG_STATE_HOME``, else in ``~/.local/state``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state", "rain/pools")
