"""Files of large constants: what clients bring before the `Submit` that names it.

A client on this host writes the file straight into a folder of its own in `incoming`, which it has locked; another one
sends it over a data connection (`DataPut`) into `incoming` itself. `claim` takes a file over when its submit arrives:
from then on it is the server's, read-only, and lives until the core says that nobody needs it (`DiscardUpload`). What
was never claimed goes with its client (`sweep`, `abandon`) or the server.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable

from rain.common.errors import RainException
from rain.common.messages import Constant, FileRef
from rain.io.scratch import UPLOADS, clean
from rain.io.tree import remove_tree

_NAME = re.compile(r"[A-Za-z0-9_-]{8,80}")
_OWN_NAME = re.compile(rf"(?:{UPLOADS}[a-z0-9_]{{8}}/)?{_NAME.pattern}")


class ConstantFiles:
    """The server's folder of large constants.

    Parameters
    ----------
    folder : str
        A private folder, made here; best on a tmpfs, so that readers on this host map memory.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.incoming = os.path.join(folder, "incoming")
        self._kept = os.path.join(folder, "constants")
        for path in (self.incoming, self._kept):
            os.makedirs(path, mode=0o700, exist_ok=True)

    def incoming_path(self, name: str) -> str:
        """Where an upload called `name` that is sent to the server is written.

        Raises
        ------
        RainException
            If the name is not of the form that clients make (it becomes a file's name).
        """
        if not _NAME.fullmatch(name):
            raise RainException(f"{name!r} is not the name of an upload: 8 to 80 letters, digits, '-' and '_'")
        return os.path.join(self.incoming, name)

    def claim(self, constant: Constant) -> FileRef:
        """Take over the file of a constant that is being submitted.

        Raises
        ------
        RainException
            If the file is not there, is not a regular file or has another size than announced.
        """
        name = constant.upload or ""
        if not _OWN_NAME.fullmatch(name):
            raise RainException(f"{name!r} is not the name of an upload of constant {constant.id}")
        path = os.path.join(self.incoming, name)
        kept = os.path.join(self._kept, os.path.basename(name))
        try:
            os.rename(path, kept)
            found = os.lstat(kept)
        except OSError as error:
            raise RainException(
                f"the bytes of constant {constant.id} did not arrive: {error.strerror or error}"
            ) from None
        if not stat.S_ISREG(found.st_mode) or found.st_size != constant.size:
            os.unlink(kept)
            raise RainException(
                f"constant {constant.id} was announced with {constant.size} bytes and arrived with {found.st_size}"
            )
        os.chmod(kept, 0o400)
        return FileRef(kept, found.st_ino, found.st_size, found.st_mtime_ns)

    def discard(self, names: list[str]) -> None:
        """Remove files that nobody needs; readers that mapped one keep what they mapped."""
        for name in names:
            if _OWN_NAME.fullmatch(name):
                _unlink(os.path.join(self._kept, os.path.basename(name)))
                _unlink(os.path.join(self.incoming, name))

    def abandon(self, names: Iterable[str]) -> None:
        """Remove those of these that were sent by a client that is gone, and were not claimed."""
        for name in names:
            _unlink(self.incoming_path(name))

    def sweep(self) -> None:
        """Remove what clients on this host wrote that are dead. In any thread."""
        clean(self.incoming, UPLOADS)

    def close(self) -> None:
        """Remove the folder."""
        remove_tree(self.folder)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
