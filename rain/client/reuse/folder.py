"""A folder of results: written by any number of sessions, processes and hosts at once.

Theory of operation
-------------------
Each result is an *entry* with what there is to know of it and its small outputs: a file, or a part of a pack of many;
each large output is a file beside it. All files are written under another name and renamed, large outputs before their
entry: so whoever finds an entry finds a whole one, and a process that is killed leaves at most a file in ``parts``. No
file is ever written twice, and nothing is locked. What a power cut or a full disk damaged is found by its checksum, and
removed.

    format               which format this is; written first, so that a folder of something else is never touched
    results/ab/KEY       entries; the time of their last use is their time of change
    results/ab/KEY.N.CHECKSUM    large outputs
    packs/NAME           small entries (`rain.client.core.reuse.packing`); used when one of them was
    functions/DIGEST     what is remembered of a function, to say what has changed (`History`)
    parts/               files that are being written

A folder of format 1 has no packs, and else the same: it is used as it is, and becomes one of format 2 with its first
pack, so that a Rain that would not count packs refuses it.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from rain.client.core.reuse.entries import Damaged, Entry, Kept, OtherFormat, Output, decode, encode, to_evict
from rain.client.core.reuse.keys import digest
from rain.client.core.reuse.packing import Small
from rain.client.core.reuse.reasons import History
from rain.client.reuse.packs import Packs, pack_bytes, remove_file
from rain.common.errors import RainException
from rain.common.limits import CACHE_BYTES_MAX, CACHE_FRESH_S, CACHE_PARTS_KEPT_S, CHUNK_BYTES
from rain.objects.file_systems import may_be_remote
from rain.objects.files import StaleFile
from rain.objects.memory import map_fd
from rain.objects.readers import BytesReader, FileReader, ObjectReader

_MARK = "rain results, format "
FORMAT = 2
"""Of the folder; keys and entries have their own."""
_WITHOUT_PACKS = 1
_READ_BYTES = 1 << 18


def default_folder() -> str:
    """Where results are if the user names no folder: ``$XDG_CACHE_HOME/rain/results``, or below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "rain", "results")


class Folder:
    """A folder of results, which is made if it does not exist.

    Parameters
    ----------
    path : str
    bytes_max : int
        What `evict` leaves at most.
    make : bool
        Whether it is made if it does not exist.

    Raises
    ------
    RainException
        If it is another user's, open to others, holds something else, or cannot be made.
    """

    def __init__(self, path: str, bytes_max: int = CACHE_BYTES_MAX, make: bool = True) -> None:
        self.path = os.path.realpath(os.path.expanduser(path))
        self.bytes_max = bytes_max
        self._shards: set[str] = set()
        self._format = FORMAT
        self._packs = Packs(os.path.join(self.path, "packs"), self._write_pack)
        try:
            self._open(make)
        except OSError as error:
            raise RainException(f"the folder of results {self.path} cannot be used: {error.strerror}") from None

    def _open(self, make: bool) -> None:
        mark = os.path.join(self.path, "format")
        if make:
            try:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                pass
        found = os.stat(self.path)
        if not stat.S_ISDIR(found.st_mode):
            raise RainException(f"the folder of results {self.path} is no folder")
        if found.st_uid != os.geteuid():
            raise RainException(
                f"the folder of results {self.path} belongs to another user (uid {found.st_uid}), and is not used: "
                "loading a result may run any program that its writer put there"
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise RainException(
                f"the folder of results {self.path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}), "
                "and is not used: loading a result may run any program that its writer put there. If only you could "
                f"write there, run: chmod 700 {self.path}"
            )
        self._check_mark(mark, make)

    def _check_mark(self, mark: str, make: bool) -> None:
        try:
            text = Path(mark).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            names = os.listdir(self.path)
            if "format" in names:  # another process has just made it
                self._check_mark(mark, make)
                return
            if any(name != "parts" for name in names):
                raise RainException(
                    f"the folder {self.path} holds something else than results: name a folder that is empty, or does "
                    "not exist"
                ) from None
            if make:
                self._write(mark, [f"{_MARK}{FORMAT}\n".encode()])
            return
        if text == f"{_MARK}{_WITHOUT_PACKS}":
            self._format = _WITHOUT_PACKS
        elif text != f"{_MARK}{FORMAT}":
            raise RainException(
                f"the folder of results {self.path} is of another format ({text[:60]!r}), and this Rain writes "
                f"{FORMAT}: name another folder, or remove this one"
            )

    @property
    def pack_bytes(self) -> int:
        """How large a pack becomes."""
        return pack_bytes(self.bytes_max)

    # -- files ----------------------------------------------------------------------------------

    def _write(self, path: str, pieces: Iterable[Any]) -> None:
        """Write a file, whole or not at all."""
        parts = os.path.join(self.path, "parts")
        folder = os.path.dirname(path)
        if folder not in self._shards:
            for needed in (parts, folder):
                os.makedirs(needed, mode=0o700, exist_ok=True)
            self._shards.add(folder)
        part = os.path.join(parts, secrets.token_hex(12))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(part, flags, 0o600)
        try:
            try:
                for piece in pieces:
                    view = memoryview(piece).cast("B")
                    while view:
                        view = view[os.write(fd, view[:CHUNK_BYTES]) :]
            finally:
                os.close(fd)
            os.rename(part, path)
        except BaseException:
            remove_file(part)
            raise

    def _write_pack(self, path: str, pieces: Iterable[Any]) -> None:
        if self._format != FORMAT:
            self._write(os.path.join(self.path, "format"), [f"{_MARK}{FORMAT}\n".encode()])
            self._format = FORMAT
        self._write(path, pieces)

    def _entry(self, key: str) -> str:
        return f"{self.path}/results/{key[:2]}/{key}"

    def data_file(self, key: str, number: int, output: Output) -> str:
        """Where a large output lies."""
        return f"{self._entry(key)}.{number}.{output.checksum}"

    def _function(self, path: str) -> str:
        return os.path.join(self.path, "functions", digest([path]))

    # -- results --------------------------------------------------------------------------------

    def read(self, key: str, use: bool = True) -> Entry | str | None:
        """The entry with this key, None if there is none; a text that says why it cannot be used.

        Parameters
        ----------
        use : bool
            Whether it is used now: that is noted.
        """
        try:
            data = self._packs.read(key, use)
            if data is None:
                data = self._read_file(key, use)
        except OSError as error:
            return f"its result cannot be read: {error.strerror}"
        if data is None:
            return None
        try:
            entry = decode(data)
        except Damaged:
            self.remove(key)
            return "its result was damaged, and was removed"
        except OtherFormat as why:
            return f"its result cannot be read: {why}"
        if entry.key != key:
            self.remove(key)
            return "its result was damaged, and was removed"
        return entry

    def _read_file(self, key: str, use: bool) -> bytes | None:
        path = self._entry(key)
        try:
            data = _read(path)
        except FileNotFoundError:
            return None
        if use:
            try:
                os.utime(path)
            except OSError:  # only read here, or removed meanwhile
                pass
        return data

    def map_output(self, key: str, number: int, output: Output) -> ObjectReader | str:
        """The bytes of a large output, mapped; a text that says why they are not there.

        Where another host may remove the file, a copy of it is mapped: reading a page of a file that is gone would kill
        this process.
        """
        try:
            reader = _mapped(self.data_file(key, number, output))
            if reader.size == output.size and xxhash.xxh3_128_hexdigest(reader.buffer()) == output.checksum:
                return reader
        except (FileNotFoundError, StaleFile):
            self.remove(key)
            return "a part of its result is gone, and the rest was removed"
        except OSError as error:  # the disk on which it is copied is full
            return f"its result cannot be read: {error.strerror}"
        except RainException as error:  # no more files can be mapped
            return f"its result cannot be read: {error}"
        self.remove(key)
        return "its result was damaged, and was removed"

    def write(self, entry: Entry, data: dict[int, Iterable[Any]]) -> None:
        """Store a result.

        Parameters
        ----------
        data : dict of int to iterable of buffers
            The bytes of the large outputs, by their numbers.

        Raises
        ------
        OSError
        """
        for number, pieces in data.items():
            self._write(self.data_file(entry.key, number, entry.outputs[number]), pieces)
        self._write(self._entry(entry.key), [encode(entry)])

    def write_small(self, entries: list[Entry]) -> None:
        """Store results that have no large outputs, as one pack.

        Raises
        ------
        OSError
        """
        now = time.time()
        self._packs.write(Small(entry.key, encode(entry), now) for entry in entries)

    def remove(self, *keys: str) -> None:
        """Remove results, each entry before its large outputs."""
        self._packs.discard(set(keys))
        for key in keys:
            self._remove_files(key)

    def _remove_files(self, key: str) -> None:
        path = self._entry(key)
        remove_file(path)
        folder, name = os.path.split(path)
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for other in names:
            if other.startswith(f"{name}."):
                remove_file(os.path.join(folder, other))

    def tidy(self, keys: Iterable[str]) -> None:
        """Put entries without large outputs, which were written one by one, and small packs, into larger packs.

        Parameters
        ----------
        keys : iterable of str
            Of the entries.

        Raises
        ------
        OSError
            In which case all that was there is there.
        """
        loose = []
        for key in keys:
            path = self._entry(key)
            try:
                loose.append(Small(key, _read(path), os.stat(path).st_mtime))
            except FileNotFoundError:
                continue
        self._packs.tidy(loose, self.pack_bytes)
        for small in loose:
            remove_file(self._entry(small.key))

    # -- what is remembered of functions --------------------------------------------------------

    def history(self, path: str) -> History | None:
        """What is remembered of a function; None if nothing is."""
        try:
            data = Path(self._function(path)).read_bytes()
            found = msgspec.msgpack.decode(data, type=History)
        except (OSError, msgspec.MsgspecError):
            return None
        return found if found.path == path else None

    def remember(self, history: History) -> None:
        """Write what is remembered of a function.

        Raises
        ------
        OSError
        """
        self._write(self._function(history.path), [msgspec.msgpack.encode(history)])

    def histories(self) -> Iterator[History]:
        """All that is remembered of functions."""
        for file in _files(os.path.join(self.path, "functions")):
            try:
                yield msgspec.msgpack.decode(Path(file.path).read_bytes(), type=History)
            except (OSError, msgspec.MsgspecError):
                continue

    # -- all of it ------------------------------------------------------------------------------

    def kept(self) -> list[Kept]:
        """All results, with their sizes and last uses; those of a pack were all used when one of them was."""
        found = {one.key: one for one in self._files_kept()}
        for pack, rows in self._packs.kept():
            for row in rows:
                other = found.get(row.key, Kept(row.key, 0, 0.0))
                found[row.key] = Kept(row.key, row.length + other.size, max(pack.used, other.used))
        return list(found.values())

    def _files_kept(self) -> list[Kept]:
        """The results that are files of their own."""
        sizes: dict[str, int] = {}
        used: dict[str, float] = {}
        for shard in _files(os.path.join(self.path, "results")):
            for file in _files(shard.path):
                key, _, rest = file.name.partition(".")
                try:
                    seen = file.stat(follow_symlinks=False)
                except OSError:
                    continue
                sizes[key] = sizes.get(key, 0) + seen.st_size
                if not rest:
                    used[key] = seen.st_mtime
                else:
                    used.setdefault(key, seen.st_mtime)
        return [Kept(key, size, used[key]) for key, size in sizes.items()]

    def evict(self, bytes_max: int | None = None, fresh_s: float = CACHE_FRESH_S) -> tuple[int, int]:
        """Remove what was used longest ago, until the rest has at most `bytes_max` (the folder's own limit if not
        given), and files that were begun long ago; how many results went, and how many bytes are left."""
        now = time.time()
        found = self._packs.kept()
        packs = {pack.key: rows for pack, rows in found}
        kept = [*self._files_kept(), *(pack for pack, _ in found)]
        gone = to_evict(kept, self.bytes_max if bytes_max is None else bytes_max, now, fresh_s)
        self._packs.remove(name for name in gone if name in packs)
        for key in gone:
            if key not in packs:
                self._remove_files(key)
        for part in _files(os.path.join(self.path, "parts")):
            try:
                if part.stat(follow_symlinks=False).st_mtime < now - CACHE_PARTS_KEPT_S:
                    remove_file(part.path)
            except OSError:
                continue
        removed = set(gone)
        results = sum(len(packs[name]) if name in packs else 1 for name in gone)
        return results, sum(one.size for one in kept if one.key not in removed)


def _read(path: str) -> bytes:
    """A small file; in few calls of the system, as there may be thousands."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(fd, _READ_BYTES):
            pieces.append(piece)
            if len(piece) < _READ_BYTES:
                break
        return b"".join(pieces)
    finally:
        os.close(fd)


def _mapped(path: str) -> ObjectReader:
    reader = FileReader(path)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not may_be_remote(fd) or not reader.size:
            return reader
    finally:
        os.close(fd)
    with tempfile.TemporaryFile() as copy:
        for piece in reader.pieces():
            copy.write(piece)
        copy.flush()
        return BytesReader(map_fd(copy.fileno(), reader.size))


def _files(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
