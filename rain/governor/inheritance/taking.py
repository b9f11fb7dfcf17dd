"""Taking over the stores of governors that died on this host: they are found, claimed, checked, and moved into the new
store.

A governor whose guardian hands it the folders of its predecessor takes these; one without takes the folders of all
governors of its cluster whose successor no guardian starts. A folder is claimed by its lock, and only if its owner is
dead (`rain.processes.scratch`), so that it has one heir. If that governor dies, too, the next one finds both folders,
each with a part of the objects.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import stat
from contextlib import ExitStack
from typing import NamedTuple

from rain.common.errors import RainException
from rain.governor.core.effects import Known
from rain.governor.core.events import Heirloom
from rain.governor.inheritance.index_file import INDEX
from rain.governor.inheritance.index_format import About, Index, Noted, read
from rain.governor.store import Store
from rain.processes.scratch import MEMORY_FILES, STORE, inherit, left_folders, remove_inherited, was_left

log = logging.getLogger("rain.governor.inheritance")


class Inheritance(NamedTuple):
    """The store that a governor begins with, and the objects that it took over.

    Attributes
    ----------
    store : str
        Name of its store.
    before : list of str
        Names of the stores that it took over.
    objects : list of Heirloom
    """

    store: str
    before: list[str]
    objects: list[Heirloom]


def cluster_of(key: bytes) -> str:
    """A secret that the governors of one server have in common, derived from their key."""
    return hashlib.sha256(b"rain store\0" + key).hexdigest()[:32]


def left_over(store: Store) -> Inheritance:
    """What a governor registers with again, when the server had given it up: what its store has noted, under another
    name, so that it is not taken for what that name stood for."""
    name = secrets.token_hex(8)
    before, noted = store.rename(name)
    return Inheritance(name, before, [Heirloom(known, file.size, file.checksum) for known, file in noted])


def take_over(store: Store, parent: str, about: About, kept_s: float) -> Inheritance:
    """Move the objects of governors that died on this host into `store`, which is empty.

    Parameters
    ----------
    parent : str
        Folder on disk in which stores make their folders.
    about : About
        About this governor's store; its names are filled in.
    kept_s : float
        How many seconds this governor's store is to stay after its death.
    """
    about.store = secrets.token_hex(8)
    objects: list[Heirloom] = []
    with ExitStack() as held:
        paths = [*left_folders(MEMORY_FILES, STORE), *left_folders(parent, STORE)]
        left = [each for each in [_claimed(path, about, held) for path in paths] if each is not None]
        about.before = [name for each in left for name in (each.about.store, *each.about.before)]
        store.keep_notes(about, kept_s)
        for each in left:
            objects += _taken(store, each)
        store.flush_notes()
        for folder in [folder for each in left for folder in each.folders]:
            remove_inherited(folder)
    if left:
        log.info("took over %d objects of %d governors that died here", len(objects), len(left))
    return Inheritance(about.store, about.before, objects)


class _Left(NamedTuple):
    """The store of a governor that died, locked by this process."""

    about: About
    objects: list[Noted]
    path: str
    folders: list[str]


def _claimed(path: str, about: About, held: ExitStack) -> _Left | None:
    """Lock the store at `path`, if this governor may take it over."""
    if about.awaited and not was_left(path):
        return None
    with ExitStack() as claim:
        if claim.enter_context(inherit(path)) is None:
            return None
        index = _index_in(path)
        if index is None or (index.about.cluster, index.about.host) != (about.cluster, about.host):
            return None
        if index.about.awaited and not was_left(path):
            return None
        if index.problem:
            log.warning("of the index in %s, which a governor left that died, %s", path, index.problem)
        folders = [path]
        disk = index.about.disk
        if disk != path and claim.enter_context(inherit(disk)) is not None:
            folders.append(disk)
        held.push(claim.pop_all())
        return _Left(index.about, list(index.objects.values()), path, folders)


def _index_in(path: str) -> Index | None:
    try:
        with open(os.path.join(path, INDEX), "rb") as file:
            return read(file.read())
    except OSError:
        return None


def _taken(store: Store, left: _Left) -> list[Heirloom]:
    """Move the objects whose files are as they were noted into `store`."""
    taken: dict[tuple[bool, str], Noted] = {}
    objects = []
    for noted in left.objects:
        folder = left.about.disk if noted.on_disk else left.path
        key = (noted.on_disk, noted.name)
        if noted.id in store:  # two governors died, of which the second had begun to take over from the first
            continue
        try:
            if key in taken:
                store.alias(noted.id, taken[key].id)
            elif folder in left.folders and _is_there(path := os.path.join(folder, "objects", noted.name), noted):
                store.inherit(path, noted)
                taken[key] = noted
            else:
                continue
        except (OSError, RainException) as error:
            log.warning("object %s, which a governor left that died, cannot be taken over: %s", noted.id, error)
            continue
        known = Known(noted.spec, noted.info)
        store.note(known)
        objects.append(Heirloom(known, noted.size, noted.checksum))
    return objects


def _is_there(path: str, noted: Noted) -> bool:
    try:
        seen = os.lstat(path)
    except OSError:
        return False
    right_kind = stat.S_ISDIR(seen.st_mode) if noted.is_dir else stat.S_ISREG(seen.st_mode)
    same = (seen.st_ino, seen.st_mtime_ns) == (noted.inode, noted.mtime_ns)
    return noted.name.isdigit() and right_kind and same and (noted.is_dir or seen.st_size == noted.size)
