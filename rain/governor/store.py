"""The governor's object store: bytes of small objects, files and directories of large ones.

Theory of operation
-------------------
Objects are immutable. Up to `INLINE_BYTES_MAX` bytes they are held in memory; larger ones are files, at first on a
memory file system (where there is one with room), from which they are spilled to disk, the longest unused first, when
they are more than `memory_bytes_max`; until that is done a `FullMark` beside new files sends writers to disk.
Each of the two places is a private folder with two siblings::

    <private, 0700>/objects/   what the store holds: files 0444, folders 0755; executors may have it mounted read-only
    <private, 0700>/incoming/  where executors and transfers write; a finished file is renamed into objects

A file never changes once it is in the store. When it has been spilled, a link to the new file takes its old name, so
that an executor that was told the old path still finds it; readers that compare the inode learn that it moved.

Ids are names of entries, and several ids may name one entry (a task that passes its input through); the entry goes
with its last id.

All methods may be called from any thread. `on_moved` and `on_lost` are called in the event loop in which the store was
made; without one, in the thread that found out.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline, LocalFile, SameAs, Stored
from rain.governor.core.effects import Known
from rain.governor.inheritance.index_format import About, Noted
from rain.governor.inheritance.notes import Notes
from rain.objects import archive, dirtree
from rain.objects.files import StaleFile, checksum_fd, local_file, no_room, open_checked, same_directory
from rain.objects.files import checksum as checksum_of
from rain.objects.held import Held
from rain.objects.intake import Folders, Intake
from rain.objects.sink import FullMark
from rain.objects.spiller import Spiller, copy_to_disk
from rain.objects.store import Entry, StoreIndex
from rain.processes.memory_folders import fast_folder, store_memory
from rain.processes.scratch import MEMORY_FILES, STORE, Scratch

__all__ = ["Held", "Store"]

log = logging.getLogger("rain.governor.store")


class Store:
    """The objects that a governor holds.

    Parameters
    ----------
    work_dir : str
        An existing folder on disk; the store makes private folders in it and removes them on `close`.
    memory_bytes_max : int, optional
        Bytes of objects in memory files before the longest unused are spilled to disk; 0: none are in memory; None: a
        share of the memory that this process may count on.
    on_moved : callable, optional
        ``on_moved(id, file)`` after a spill.
    on_lost : callable, optional
        ``on_lost(id, reason)`` when an object turned out to be damaged or gone.
    memory_files : str
        The memory file system.

    Attributes
    ----------
    incoming : str
        Where executors write large outputs: in memory, if there is room.
    incoming_disk : str
        Where they write when that is full.
    incoming_bytes_max : int
        Largest file that may be written to `incoming`.
    objects_folders : tuple of str
        The folders that hold objects; may be mounted read-only for executors.
    """

    def __init__(
        self,
        work_dir: str,
        *,
        memory_bytes_max: int | None = None,
        on_moved: Callable[[ID, LocalFile], None] | None = None,
        on_lost: Callable[[ID, str], None] | None = None,
        memory_files: str = MEMORY_FILES,
    ) -> None:
        self._on_moved = on_moved
        self._on_lost = on_lost
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._closed = False

        self._disk_scratch = Scratch(work_dir, STORE, inherited=False)
        self._disk = self._disk_scratch.path
        allowed = store_memory() if memory_bytes_max is None else memory_bytes_max
        self._fast_scratch, memory_bytes_max = fast_folder(memory_files, STORE, allowed, inherited=False)
        self._index = StoreIndex(memory_bytes_max)
        self._fast = self._fast_scratch.path if self._fast_scratch else ""
        for folder in filter(None, (self._fast, self._disk)):
            os.mkdir(os.path.join(folder, "incoming"), 0o700)
            os.mkdir(os.path.join(folder, "objects"))
            os.chmod(os.path.join(folder, "objects"), 0o755)
        self.incoming_disk = os.path.join(self._disk, "incoming")
        self.incoming = os.path.join(self._fast, "incoming") if self._fast else self.incoming_disk
        self._mark = FullMark(self.incoming)
        self.incoming_bytes_max = memory_bytes_max if self._fast else 1 << 62
        self._objects_disk = os.path.join(self._disk, "objects")
        self._objects_fast = os.path.join(self._fast or self._disk, "objects")
        self.objects_folders = tuple(dict.fromkeys((self._objects_fast, self._objects_disk)))
        self._real_folders = [os.path.realpath(folder) for folder in self.objects_folders]

        self._spiller = Spiller(self._spill)
        self._notes: Notes | None = None

    # -- asking ---------------------------------------------------------------------------------

    def get(self, id: ID) -> Held | None:
        """The object, or None if it is not here."""
        with self._lock:
            entry = self._index.get(id)
            return None if entry is None else entry.held

    def __contains__(self, id: ID) -> bool:
        return id in self._index

    def __len__(self) -> int:
        return len(self._index)

    def statistics(self) -> dict[str, float]:
        """Numbers of bytes and objects, for `Load`."""
        index = self._index
        return {
            "objects": float(len(index)),
            "inline_bytes": float(index.inline_bytes),
            "memory_bytes": float(index.memory_bytes),
            "memory_max_bytes": float(index.memory_bytes_max),
            "disk_bytes": float(index.disk_bytes),
            "disk_max_bytes": float(index.disk_bytes + self._disk_free()),
            "spilled_bytes": float(index.spilled_bytes),
        }

    def _disk_free(self) -> int:
        try:
            room = os.statvfs(self._disk)
        except OSError:
            return 0
        return room.f_bavail * room.f_frsize

    def intake(self) -> Intake:
        """For new files and directories that will be given to `take`."""
        folders = Folders(self.incoming, self.incoming_disk, self.incoming_bytes_max, self._room())
        return Intake(folders, f"new-{next(self._numbers)}")

    def _room(self) -> int:
        """Bytes that may still be written to memory files."""
        if not self._fast:
            return 1 << 62
        room = os.statvfs(self.incoming)
        return min(self._index.memory_bytes_max - self._index.memory_bytes, room.f_bavail * room.f_frsize)

    # -- taking ---------------------------------------------------------------------------------

    def put(self, id: ID, location: Stored | SameAs) -> Stored:
        """Take an output of an attempt; gives where it is in the store. What is raised is of the methods below."""
        if isinstance(location, SameAs):
            return self.alias(id, location.id).location
        if isinstance(location, Inline):
            return self.put_bytes(id, location).location
        return self.take(id, location).location

    def put_bytes(self, id: ID, location: Inline, *, is_dir: bool = False) -> Held:
        """Hold bytes that came with a message: in memory if they are few, else in a file; a directory's tar archive is
        unpacked.

        Raises
        ------
        RainException
            If the bytes do not have this checksum, the archive is refused or the disk is full.
        """
        data, checksum = location.data, location.checksum
        if is_dir:
            path = self.intake().new_path(len(data))
            return self.take(id, local_file(path, archive.unpack([data], path)))
        if checksum is not None and checksum_of(data) != checksum:
            raise RainException(f"the bytes of object {id} arrived damaged (their checksum differs)")
        if len(data) <= INLINE_BYTES_MAX:
            return self._hold(id, Held(location), in_memory=False)
        stored = self.intake().put(data)
        assert isinstance(stored, LocalFile)
        return self._hold_path(id, stored.path, stored.size, stored.checksum)

    def take(self, id: ID, file: LocalFile) -> Held:
        """Take over a file or directory (from `incoming`, or anywhere), which is moved and made read-only.

        It must be the caller's alone: hard links between it and files that are not stored objects' are not looked for.
        Links to objects of this store, at `file` itself or inside of a directory, become those objects' data. What
        cannot be taken is removed, if it is in `incoming`.

        Raises
        ------
        RainException
            If it is not there, is neither a file nor a directory that Rain takes, or the disk is full.
        """
        try:
            return self._take(id, file)
        except BaseException:
            if os.path.dirname(file.path) in (self.incoming, self.incoming_disk):
                dirtree.remove_any(file.path)
            raise

    def _take(self, id: ID, file: LocalFile) -> Held:
        try:
            seen = os.lstat(file.path)
            if stat.S_ISLNK(seen.st_mode):
                return self._take_link(id, file.path, file.checksum)
            if stat.S_ISDIR(seen.st_mode):
                size = dirtree.own_tree(file.path, self._real_folders, trusted=True)
                return self._hold_path(id, file.path, size, None, is_dir=True)
            if not stat.S_ISREG(seen.st_mode):
                raise RainException(f"{file.path} is neither a file nor a directory")
            if (seen.st_ino, seen.st_size) != (file.inode, file.size):
                raise StaleFile(f"{file.path} is not the file that was written as object {id}")
            return self._hold_path(id, file.path, seen.st_size, file.checksum)
        except OSError as error:
            full = no_room(error, error.filename2 or file.path, file.size)
            text = f"{file.path} cannot be stored as object {id}: {error.strerror or error}"
            raise (full or RainException(text)) from None

    def _take_link(self, id: ID, path: str, checksum: int | None) -> Held:
        real = os.path.realpath(path)
        if not any(real.startswith(folder + os.sep) for folder in self._real_folders) or not os.path.isfile(real):
            raise RainException(f"{path} is a link to {os.readlink(path)}, which is not an object of this governor")
        os.unlink(path)
        copy = self.intake().new_path(near=real)
        dirtree.link_or_copy(real, copy)
        return self._hold_path(id, copy, os.stat(copy).st_size, checksum)

    def _is_fast(self, path: str) -> bool:
        return bool(self._fast) and os.path.realpath(path).startswith(os.path.realpath(self._fast) + os.sep)

    def link(self, id: ID, file: LocalFile, *, is_dir: bool = False) -> Held:
        """Share an object of another store on this host, without a copy.

        Raises
        ------
        StaleFile
            If the file is no longer the one that was meant.
        OSError
            If it is on a file system where none of ours is, or may not be linked.
        """
        if is_dir and not same_directory(file):
            raise StaleFile(f"{file.path} is gone or is not the directory that was stored as object {id}")
        last: OSError | None = None
        for folder in dict.fromkeys((self.incoming, self.incoming_disk)):
            path = os.path.join(folder, f"new-{next(self._numbers)}")
            try:
                if is_dir:
                    size = dirtree.link_tree(file.path, path, hard=True)
                else:
                    fd = open_checked(file)
                    os.close(fd)
                    os.link(file.path, path)
                    size = file.size
                    os.close(open_checked(LocalFile(path, file.inode, file.size, file.mtime_ns)))
            except StaleFile:
                dirtree.remove_any(path)
                raise
            except OSError as error:
                last = error
                continue
            return self._hold_path(id, path, size, file.checksum, is_dir=is_dir)
        assert last is not None
        raise last

    def alias(self, new_id: ID, old_id: ID) -> Held:
        """Let `new_id` name what `old_id` names.

        Raises
        ------
        RainException
            If `old_id` is not here.
        """
        with self._lock:
            entry = self._index.get(old_id)
            if entry is None:
                raise RainException(f"object {old_id} is not in the store, so {new_id} cannot be the same")
            self._forget([new_id])
            self._removed(self._index.name(new_id, entry))
            return entry.held

    def _hold_path(self, id: ID, path: str, size: int, checksum: int | None, *, is_dir: bool = False) -> Held:
        """Move a finished file or directory into the objects folder of its file system."""
        fast = self._is_fast(path)
        target = os.path.join(self._objects_fast if fast else self._objects_disk, f"{next(self._numbers)}")
        if is_dir:
            os.chmod(path, 0o755)
        else:
            os.chmod(path, dirtree.read_only(os.stat(path).st_mode))
        dirtree.move(path, target)
        return self._hold(id, Held(local_file(target, size, checksum), is_dir), in_memory=fast)

    def _hold(self, id: ID, held: Held, in_memory: bool) -> Held:
        with self._lock:
            if self._closed:
                if isinstance(held.location, LocalFile):
                    dirtree.remove_any(held.location.path)
                raise RainException("the store is closed")
            self._forget([id])
            self._removed(self._index.add(id, held, in_memory))
            self._spiller.ask(self._index.to_spill())
        return held

    # -- dropping -------------------------------------------------------------------------------

    def drop(self, ids: Iterable[ID]) -> None:
        """Forget these; what no id names any more is deleted. Readers that mapped a file keep what they mapped."""
        ids = list(ids)
        with self._lock:
            self._forget(ids)
            self._removed(self._index.drop(ids))

    def drop_session(self, session_id: int) -> None:
        """Forget all objects of a session."""
        with self._lock:
            self.drop(self._index.ids(session_id))

    def clear(self) -> None:
        """Forget all objects."""
        with self._lock:
            self.drop(self._index.ids())

    def _forget(self, ids: Iterable[ID]) -> None:
        if self._notes is not None:
            self._notes.forget(ids)

    def _removed(self, gone: Iterable[Entry]) -> None:
        """Remove the files of entries that went, and mark the folder as full or not, after a change of the index."""
        for entry in gone:
            if isinstance(entry.held.location, LocalFile):
                dirtree.remove_any(entry.held.location.path)
            if entry.left_behind is not None:
                dirtree.remove_any(entry.left_behind)
        self._mark.set(self._index.full)

    def lose(self, id: ID, reason: str, held: Held | None = None) -> Held | None:
        """The object is damaged or gone: forget it under all its names, and tell.

        With `held`, what was found wanting, nothing happens if the object is another file by now (it was spilled):
        that is returned.
        """
        with self._lock:
            entry = self._index.get(id)
            if entry is not None and held is not None and entry.held is not held:
                return entry.held
            ids = sorted(entry.ids) if entry else []
            self.drop(ids)
        for lost in ids:
            log.error("object %s is lost: %s", lost, reason)
            self._tell(self._on_lost, lost, reason)
        return None

    def _tell(self, callback: Callable[..., None] | None, *arguments: object) -> None:
        if callback is None:
            return
        if self._loop is None:
            callback(*arguments)
            return
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            log.debug("the loop is closed; the governor is not told")

    # -- checking and spilling ------------------------------------------------------------------

    def damage_of(self, id: ID) -> str:
        """What is wrong with an object, as far as inode, size and time tell; empty if nothing is."""
        held = self.get(id)
        if held is None:
            return "it is not in the store any more"
        file = held.location
        if isinstance(file, Inline):
            return ""
        if held.is_dir:
            problem = "" if same_directory(file) else f"{file.path} is gone or is not the directory that was stored"
        else:
            try:
                os.close(open_checked(file))
                problem = ""
            except StaleFile as error:
                problem = str(error)
        # The store may have moved it meanwhile.
        return problem if not problem or self.get(id) is held else self.damage_of(id)

    def check(self, id: ID) -> bool:
        """Read an object's file and compare its checksum (of a directory from a dead governor its size); a damaged one
        is lost (`on_lost`) and False returned. What is from a dead governor counts as any other object from then on.

        Blocks for as long as reading takes.
        """
        held = self.get(id)
        if held is None:
            return False
        if isinstance(held.location, Inline):
            return True
        try:
            problem = self._damage_within(id, held, held.location)
        except StaleFile as error:
            return self.lose(id, str(error), held) is not None and self.check(id)
        except (RainException, OSError) as error:
            problem = f"it cannot be read: {error}"
        if problem:
            self.lose(id, problem)
            return False
        with self._lock:
            entry = self._index.look(id)
            if entry is not None and entry.held is held and entry.unread:
                entry.unread = False
                for each in sorted(entry.ids):
                    self._tell(self._on_moved, each, held.location)
        return True

    def _damage_within(self, id: ID, held: Held, file: LocalFile) -> str:
        if held.is_dir:
            if not self.is_unread(id):
                return ""
            if not same_directory(file):
                raise StaleFile(f"{file.path} is gone or is not the directory that was stored")
            return "" if dirtree.tree_size(file.path) == file.size else f"its files in {file.path} were damaged"
        if file.checksum is None:
            return ""
        fd = open_checked(file)
        try:
            same = checksum_fd(fd, file.size) == file.checksum
        finally:
            os.close(fd)
        return "" if same else f"its file {file.path} was damaged (the checksum differs)"

    def heed(self, left: int | None, limit: int | None) -> None:
        """Keep away from the limit of the control group: spill objects while too little of `limit` is `left`
        (`StoreIndex.heed`).

        Parameters
        ----------
        left, limit : int or None
            Bytes; None: there is no limit.
        """
        if left is None or limit is None or not self._fast:
            return
        with self._lock:
            self._index.heed(left, limit)
            self._mark.set(self._index.full)
            self._spiller.ask(self._index.to_spill())

    def wait_spilled(self) -> None:
        """Block until all spills that were asked for are done."""
        self._spiller.wait()

    def _spill(self, entry: Entry) -> None:
        """Move an entry's file to disk; in the spiller's thread."""
        old = entry.held.location
        assert isinstance(old, LocalFile)
        target = os.path.join(self._objects_disk, f"{next(self._numbers)}")
        problem = ""
        try:
            if entry.ids and not self._closed:
                part = os.path.join(self.incoming_disk, f"spill-{os.path.basename(target)}")
                problem = copy_to_disk(entry.held, part, target)
            else:
                target = ""
        except (OSError, RainException) as error:
            # It stays where it is; the next object that comes asks again.
            log.warning("object %s cannot be spilled to disk: %s", sorted(entry.ids), error)
            target = ""
        with self._lock:
            entry.spilling = False
            if target and entry.ids and not problem:
                target = self._exchanged(entry, old, target)
            elif target:
                dirtree.remove_any(target)
                target = ""
            self._removed([] if entry.ids else [entry])
        if problem:
            for id in sorted(entry.ids):
                self.lose(id, problem)
        elif target:
            for id in sorted(entry.ids):
                self._tell(self._on_moved, id, entry.held.location)

    def _exchanged(self, entry: Entry, old: LocalFile, target: str) -> str:
        """Put a link to the new file in the place of the old one; the new file, empty if that failed."""
        held = entry.held
        link = os.path.join(self.incoming, f"link-{os.path.basename(target)}")
        try:
            os.symlink(target, link)
            if held.is_dir:
                dirtree.exchange(link, old.path)
            else:
                os.rename(link, old.path)
        except OSError as error:
            log.warning("object %s cannot be spilled to disk: %s", sorted(entry.ids), error)
            dirtree.remove_any(link)
            dirtree.remove_any(target)
            return ""
        if held.is_dir:
            dirtree.remove_any(link)
        new = Held(local_file(target, old.size, old.checksum), held.is_dir)
        self._index.spilled(entry, new, left_behind=old.path)
        if self._notes is not None:
            self._notes.moved(entry)
        return target

    # -- for the governor that is started when this one has died -----------------------------------

    def keep_notes(self, about: About, kept_s: float) -> None:
        """From now on note what is here, which is to stay for so many seconds after a death."""
        about.disk = self._disk
        fast, disk = self._fast_scratch, self._disk_scratch
        self._notes = Notes(about, self._index, fast, disk, self._objects_disk, kept_s)

    def note(self, known: Known) -> None:
        """What an object is; it is written with the next `flush_notes`."""
        with self._lock:
            if self._notes is not None:
                self._notes.note(known)

    def flush_notes(self) -> None:
        """Write what was noted."""
        notes = self._notes
        if notes is not None and notes.waiting:
            with self._lock:
                notes.flush()

    def keep_noted(self, but: Collection[ID] = ()) -> None:
        """Forget all objects but those that were noted, and these."""
        with self._lock:
            noted, others = {} if self._notes is None else self._notes.noted, set(but)
            self.drop([id for id in self._index.ids() if id not in noted and id not in others])

    def rename(self, name: str) -> tuple[list[str], list[tuple[Known, LocalFile]]]:
        """Give the store another name: its governor registers again. Gives those that it had, and what was noted."""
        with self._lock:
            return ([], []) if self._notes is None else (self._notes.rename(name), self._notes.there())

    def touch(self) -> None:
        """This process lives."""
        if self._notes is not None:
            self._notes.touch()

    def inherit(self, path: str, noted: Noted) -> None:
        """Take over the file or directory of a dead governor's object, which is read before it is given to a reader.

        Raises
        ------
        OSError, RainException
            If it cannot be moved.
        """
        id, in_memory = noted.id, bool(self._fast) and not noted.on_disk
        target = os.path.join(self._objects_fast if in_memory else self._objects_disk, f"{next(self._numbers)}")
        dirtree.move(path, target)
        with self._lock:
            self._hold(id, Held(local_file(target, noted.size, noted.checksum), noted.is_dir), in_memory)
            entry = self._index.look(id)
            if entry is not None:
                entry.unread = True

    def is_unread(self, id: ID) -> bool:
        """Whether an object's bytes have to be compared (`check`) before a reader gets them."""
        entry = self._index.look(id)
        return entry is not None and entry.unread

    # -- end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Delete everything; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._spiller.close()
        with self._lock:
            if self._notes is not None:
                self._notes.close()
            self._index.drop(self._index.ids())
        for scratch in (self._fast_scratch, self._disk_scratch):
            if scratch is not None:
                scratch.close()
