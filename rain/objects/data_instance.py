"""`DataInstance`: the value of one finished data object, wherever its bytes are (see `rain.objects.readers`)."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException
from rain.common.jupyter import display_hooks
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.states import DataType
from rain.objects import dirtree, memory
from rain.objects.content_types import codecs
from rain.objects.content_types.text import text_encoding
from rain.objects.files import no_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from rain.objects.readers import ObjectReader


WRITABLE_FALSE = "they were loaded with writable=False"
"""Why values are read-only that were loaded so."""


class DataInstance:
    """The value of one finished data object, at the client (from `fetch()`) or in remote code (a task's input).

    Do not make one yourself: use `fetch()`, or in a task `ctx.blob`, `ctx.pickled`, `ctx.stage_file` and
    `ctx.stage_directory`.

    Parameters
    ----------
    reader : ObjectReader
        Reads its bytes.
    spec : ObjectSpec or None
        None for what was made by the running task and is not an output yet.
    info : ObjectInfo, optional

    Examples
    --------
    >>> instance = DataInstance(BytesReader(b'[1, 2]'), None, ObjectInfo(content_type="json"))
    >>> instance.load(), instance.size, instance.content_type
    ([1, 2], 6, 'json')
    """

    __slots__ = ("__weakref__", "_ask", "_cache", "_lock", "info", "reader", "spec")

    def __init__(self, reader: ObjectReader, spec: ObjectSpec | None, info: ObjectInfo | None = None) -> None:
        self.reader = reader
        self.spec = spec
        self.info = info if info is not None else ObjectInfo(size=reader.size)
        # ``(what, asked, path, timeout)``: what an executor says that looks into the data where they lie.
        self._ask: Callable[[str, bytes, str | None, float | None], bytes] | None = None
        self._cache: dict[bool, Any] | None = None
        self._lock = threading.Lock()

    @property
    def data_type(self) -> DataType:
        """`DataType.BLOB` or `DataType.DIRECTORY`."""
        return DataType.DIRECTORY if self.reader.is_dir else DataType.BLOB

    @property
    def content_type(self) -> str | None:
        """The dynamic content type where the task set one, else that of the spec."""
        return self.info.content_type or (self.spec.content_type if self.spec else None) or None

    @property
    def size(self) -> int:
        """Bytes; of a directory the sum of its files."""
        return self.reader.size if self.info.size is None else self.info.size

    def get_bytes(self) -> bytes:
        """All bytes; of a directory a tar archive.

        Returns
        -------
        bytes

        Raises
        ------
        RainException
            If the data cannot be had any more.
        """
        return self.reader.read()

    def get_str(self) -> str:
        """All bytes as text, decoded as the content type ``text-<ENCODING>`` says, else as UTF-8.

        Returns
        -------
        str

        Raises
        ------
        RainException
            If it is a directory, or the bytes are not text in this encoding.
        """
        if self.reader.is_dir:
            raise RainException(f"{self!r} is a directory, not text")
        encoding = text_encoding(self.content_type)
        try:
            return str(self.reader.buffer(), encoding)
        except UnicodeDecodeError as error:
            raise RainException(f"{self!r} is not text in {encoding}: {error}") from None

    def load(self, cache: bool = False, writable: bool = True) -> Any:
        """The value, decoded by content type.

        Large arrays, data frames and tables come without a copy where this host holds the data. They may be written:
        each call maps the data anew, copy-on-write, so that no other process or value sees what is written, and only
        the pages that are written take memory. What was read-only when it was pickled stays so.

        Where that cannot be, since the system refuses such mappings or the data are gone from this host meanwhile, they
        are read-only, and a `RainWarning` says why.

        Parameters
        ----------
        cache : bool
            Decode once and give the same object each time; what is written to it is seen by all who loaded it so.
        writable : bool
            False: what is mapped (values from 64 KiB on) cannot be written.

        Returns
        -------
        any

        Raises
        ------
        RainException
            If there is no content type, it is a directory, or the data are not of their content type.
        """
        if not cache:
            return self._decode(writable)
        with self._lock:
            if self._cache is None:
                self._cache = {}
            if writable not in self._cache:
                self._cache[writable] = self._decode(writable)
            return self._cache[writable]

    def _decode(self, writable: bool) -> Any:
        if self.content_type is None:
            raise RainException(
                f"{self!r} has no content type, so load() does not know how to decode it; use get_bytes(), or give a "
                "content type where the object is made"
            )
        if self.reader.is_dir:
            raise RainException(f"{self!r} is a directory and cannot be loaded; use write(path) or link(path)")
        data = self.reader.buffer(writable)
        if not writable:
            memory.why_read_only = WRITABLE_FALSE
        return codecs.decode_value(data, self.content_type)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Make a fresh writable copy: a file, or of a directory object a directory.

        Parameters
        ----------
        path : str or os.PathLike
            A file there is replaced; a directory there must be empty.

        Raises
        ------
        RainException
            If the path is taken, the disk is full or the data cannot be had any more.
        """
        self._place(os.fspath(path), self.reader.save)

    def link(self, path: str | os.PathLike[str]) -> None:
        """Make the data appear, read-only, at a new path: without a copy where this host holds them.

        A directory becomes a real directory whose files are links.

        Parameters
        ----------
        path : str or os.PathLike
            A file there is replaced; a directory there must be empty.

        Raises
        ------
        RainException
            If the path is taken, the disk is full or the data cannot be had any more.
        """
        self._place(os.fspath(path), self._link)

    def _link(self, path: str) -> None:
        here = self.reader.path()
        if here is None:
            self.reader.save(path)
            if self.reader.is_dir:
                dirtree.own_tree(path)
            else:
                os.chmod(path, 0o444)
        elif self.reader.is_dir:
            dirtree.link_tree(here, path)
        else:
            dirtree.link_file(here, path)

    def _place(self, path: str, make: Callable[[str], None]) -> None:
        """Run `make` on a path beside `path` and rename, so that nothing half-made is ever seen there."""
        folder, name = os.path.split(os.path.abspath(path))
        if os.path.isdir(path) and not (self.reader.is_dir and not os.listdir(path)):
            raise RainException(
                f"{path} exists already and is a directory" + (" with something in it" * self.reader.is_dir)
            )
        if self.reader.is_dir and os.path.lexists(path) and not os.path.isdir(path):
            raise RainException(f"{path} exists already and is not a directory")
        # A name has 255 bytes at most, and each of its characters up to four.
        beside = os.path.join(folder, f".{name[:50]}.{os.getpid()}-{id(self):x}.part")
        try:
            make(beside)
            os.rename(beside, path)
        except RainException:
            dirtree.remove_any(beside)
            raise
        except OSError as error:
            dirtree.remove_any(beside)
            full = no_room(error, os.fspath(path), self.size)
            if full is not None:
                raise full from None
            raise RainException(f"{path} cannot be written: {error.strerror or error}") from error

    def __reduce__(self) -> Any:
        raise RainException(
            f"{self!r} cannot be pickled: return it as an output of the task, give it to a task as the data object, or "
            "pickle what load() gives"
        )

    def _ipython_display_(self) -> None:
        display_hooks.show("instance", self)

    def _repr_html_(self) -> str | None:
        return display_hooks.html("instance", self)

    def __repr__(self) -> str:
        label = f" {self.spec.label!r}" if self.spec is not None and self.spec.label else ""
        number = f" {self.spec.id}" if self.spec is not None and self.spec.id is not None else ""
        kind = "directory" if self.reader.is_dir else self.content_type or "bytes"
        return f"<DataInstance{number}{label} {kind}, {self.size} bytes>"
