"""Files that a session writes for its user: whole or not at all, over nothing but an earlier one of the same kind."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from rain.common.errors import RainException


class OutputFile:
    """The place of such a file, which may be written to.

    Parameters
    ----------
    path : str or PathLike
    method : str
        The method of the session that it was given to.
    what : str
        Of what kind the file is, in a word.
    begin : bytes
        How all files of the kind begin; none is replaced that begins otherwise, but an empty one.
    example : str
        A usual name of such a file.

    Attributes
    ----------
    path : Path
        Absolute.

    Raises
    ------
    RainException
        If something else is there, or there is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str], method: str, what: str, begin: bytes, example: str) -> None:
        self._what = what
        try:
            self.path = target = Path(path).resolve()
        except (TypeError, ValueError, RuntimeError, OSError) as error:
            raise RainException(f"{method}() takes the path of a file, not {path!r}: {error}") from None
        try:
            if target.is_dir():
                raise RainException(f"{target} is a folder: a {what} is a file, for instance {target / example}")
            if not target.parent.is_dir():
                raise RainException(f"there is no folder {target.parent} for the {what} {target.name}")
            if target.exists() and not self._is_of_the_kind(begin):
                raise RainException(
                    f"{target} is there already and is no {what} of Rain: give another name, or remove it"
                )
        except OSError as error:
            raise RainException(f"{target} cannot be replaced: {error.strerror or error}") from None

    def _is_of_the_kind(self, begin: bytes) -> bool:
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            return file.read(len(begin)) in (begin, b"")

    def write(self, data: bytes) -> None:
        """Put `data` there, whole or not at all.

        Raises
        ------
        RainException
            If that cannot be done.
        """
        partial = self.path.with_name(f".{uuid.uuid4().hex}{self.path.suffix}")
        try:
            try:
                with partial.open("xb") as file:
                    file.write(data)
                partial.replace(self.path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise RainException(
                f"the {self._what} cannot be written to {self.path}: {error.strerror or error}"
            ) from None
