"""The tasks that a governor runs itself: concatenate, load, store, directories.

Theory of operation
-------------------
`run_builtin` blocks and is called in a thread. What it makes lies in the store's incoming folders (or in the result, if
it is small), as if an executor had made it; the caller lets the store adopt it. Contents that do not change are not
copied: an object that passes through is named (`same_as`), files of directories are hard links to the store's own where
one file system holds both. What has to be copied is copied in pieces, so that memory stays small and a cancelled task
ends soon.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rain.common.errors import RainException
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline, LocalFile
from rain.common.protocol.messages import OutputResult, TaskAssignment, TaskResult
from rain.common.spec import TaskError, TaskInfo
from rain.common.task_configs import (
    CONCAT,
    LOAD,
    LOAD_DIR,
    MAKE_DIRECTORY,
    SLEEP,
    SLICE_DIRECTORY,
    STORE,
    MakeDirectoryConfig,
    PathConfig,
    SleepConfig,
    read_config,
)
from rain.governor.core.effects import Known
from rain.governor.pools.builtin_context import Cancelled, Work, make_folder, make_free
from rain.governor.store import Store
from rain.objects.dirtree import Entry, link_or_copy, open_entry, remove_any, same_tree, tree_size
from rain.objects.files import checksum_fd, local_file, no_room
from rain.objects.held import Held
from rain.objects.intake import output_of


def run_builtin(
    assignment: TaskAssignment,
    inputs: Sequence[Held],
    known: Sequence[Known],
    store: Store,
    cancelled: threading.Event,
) -> TaskResult:
    """Run one builtin task to its end. Blocks; never raises for what the task did.

    Parameters
    ----------
    assignment : TaskAssignment
        Its `spec.task_type` is one of `rain.common.task_configs.IN_GOVERNOR`.
    inputs : sequence of Held
        What the store holds, in the order of ``spec.inputs``; not dropped while this runs.
    known : sequence of Known
        Spec and info of the inputs, in the same order.
    store : Store
        Gives names for new files.
    cancelled : threading.Event
        Ends the task soon when it is set; its result then is an error of kind ``"cancelled"``.

    Returns
    -------
    TaskResult
        Outputs are bytes, files for `Store.take`, or the same as an input. Errors are of kind ``"rain"``.
    """
    spec = assignment.spec
    info = TaskInfo(start_time=time.time(), attempts=assignment.attempt)
    begin = time.perf_counter()
    work = Work(assignment, inputs, known, store, cancelled)
    outputs: list[OutputResult] = []
    error = None
    try:
        outputs = _KINDS[spec.task_type](work)
    except Cancelled:
        error = TaskError("cancelled", "the task was cancelled")
    except RainException as failure:
        error = TaskError("rain", str(failure))
    except OSError as failure:
        error = TaskError("rain", _explain(failure, work))
    if error is not None:
        info.error = error.message
        work.intake.discard()
    info.duration = time.perf_counter() - begin
    return TaskResult(spec.id, assignment.attempt, info, outputs, error)


# -- the tasks ---------------------------------------------------------------------------------------------


def _concat(work: Work) -> list[OutputResult]:
    for number, held in enumerate(work.inputs):
        if held.is_dir:
            raise RainException(f"Concat: {work.name(number)} is a directory; only blobs can be concatenated")
    filled = [number for number, held in enumerate(work.inputs) if held.size]
    if len(filled) == 1 and work.only_output().data_type == "blob":
        return [work.same(filled[0])]

    def pieces() -> Iterator[bytes | memoryview]:
        for number in filled:
            yield from work.pieces(work.inputs[number])

    return [work.blob(pieces(), sum(held.size for held in work.inputs))]


def _sleep(work: Work) -> list[OutputResult]:
    seconds = read_config(work.spec.config, SleepConfig).seconds
    if not 0 <= seconds < threading.TIMEOUT_MAX:
        raise RainException(f"Sleep: cannot sleep for {seconds} s")
    work.only_input()
    if work.cancelled.wait(seconds):
        raise Cancelled
    return [work.same(0, keep_info=True)]


def _load(work: Work) -> list[OutputResult]:
    path = _absolute("Load", work)
    # A pipe or device would block the thread; it is refused below.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        seen = os.fstat(fd)
        if stat.S_ISDIR(seen.st_mode):
            raise RainException(f"Load: {path} is a directory; use LoadDir")
        if not stat.S_ISREG(seen.st_mode):
            raise RainException(f"Load: {path} is not a file")
        return [work.blob(work.read(fd), seen.st_size)]
    finally:
        os.close(fd)


def _load_dir(work: Work) -> list[OutputResult]:
    path = _absolute("LoadDir", work)
    if not stat.S_ISDIR(os.stat(path).st_mode):
        raise RainException(f"LoadDir: {path} is not a directory; use Load")
    inside = os.path.realpath(path).rstrip("/") + "/"
    for folder in (work.store.incoming, work.store.incoming_disk):
        if os.path.realpath(folder).startswith(inside):
            raise RainException(f"LoadDir: {path} cannot be loaded: the governor's own files are in it")
    target = _new_folder(work, tree_size(path))
    return [work.directory(target, work.plant(path, target, work.copy_entry))]


def _store(work: Work) -> list[OutputResult]:
    path = _absolute("Store", work).rstrip("/")
    held = work.only_input()
    folder, name = os.path.split(path)
    if not name or name in (".", ".."):
        raise RainException(f"Store: {path or '/'} is not the name of a new file or directory")
    if not os.path.isdir(folder or "/"):
        raise RainException(f"Store: the folder {folder} does not exist on the governor")
    # On the same file system as the target, so that it appears there at once or not at all.
    # A name has 255 bytes at most, and each of its characters up to four.
    part = f"{folder}/.{name[:50]}.rain-{os.urandom(8).hex()}"
    try:
        if held.is_dir:
            _store_directory(work, held, path, part)
        else:
            _store_blob(work, held, path, part)
    except BaseException:
        remove_any(part)
        raise
    return [work.same(0, keep_info=True)] if work.outputs else []


def _store_blob(work: Work, held: Held, path: str, part: str) -> None:
    if os.path.isdir(path):
        raise RainException(f"Store: {path} is a directory on the governor and is not replaced by a file")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        for piece in work.pieces(held):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    except OSError as error:
        raise (no_room(error, path, held.size) or error) from None
    finally:
        os.close(fd)
    os.rename(part, path)


def _store_directory(work: Work, held: Held, path: str, part: str) -> None:
    source = _folder_of(held)
    os.mkdir(part)
    work.plant(source, part, work.copy_out)
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        # A task may run twice: what the first run stored is what was to be stored.
        if not _same_content(part, path):
            raise RainException(
                f"Store: {path} exists already on the governor with other content; remove it or use another name"
            ) from None
        remove_any(part)


def _make_directory(work: Work) -> list[OutputResult]:
    paths = read_config(work.spec.config, MakeDirectoryConfig).paths
    if len(paths) != len(work.inputs):
        raise RainException(f"MakeDirectory: there are {len(paths)} paths for {len(work.inputs)} inputs")
    places = [_inner("MakeDirectory", path) for path in paths]
    files = [held.location for held in work.inputs if isinstance(held.location, LocalFile)]
    largest = max(files, key=lambda file: file.size, default=None)
    in_memory = sum(held.size for held in work.inputs if isinstance(held.location, Inline))
    target = _new_folder(work, in_memory, largest.path if largest is not None else "")
    for number, (held, place) in enumerate(zip(work.inputs, places, strict=True)):
        work.check()
        path = target
        for part in place[: None if held.is_dir else -1]:
            path = f"{path}/{part}"
            make_folder(path)
        if held.is_dir:
            work.plant(_folder_of(held), path, work.link)
        elif not place:
            raise RainException(f"MakeDirectory: {work.name(number)} is a blob and needs a name, not {paths[number]!r}")
        else:
            _put_blob(held, f"{path}/{place[-1]}")
    # What was replaced does not count.
    size = tree_size(target)
    return [work.directory(target, size)]


def _put_blob(held: Held, path: str) -> None:
    make_free(path)
    if isinstance(held.location, LocalFile):
        link_or_copy(os.path.realpath(held.location.path), path)
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        rest = memoryview(held.location.data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def _slice_directory(work: Work) -> list[OutputResult]:
    path = read_config(work.spec.config, PathConfig).path
    held = work.only_input()
    if not held.is_dir:
        raise RainException(f"SliceDirectory: {work.name(0)} is not a directory")
    place = _inner("SliceDirectory", path)
    wants_dir = work.only_output().data_type == "dir"
    if not place and wants_dir:
        return [work.same(0)]
    root = _folder_of(held)
    real = os.path.realpath("/".join([root, *place]))
    if real != root and not real.startswith(f"{root}/"):
        raise RainException(f"SliceDirectory: {path!r} leads out of the directory")
    try:
        seen = os.stat(real)
    except OSError:
        raise RainException(f"SliceDirectory: there is no {path!r} in the directory; {_content(root, place)}") from None
    is_dir = stat.S_ISDIR(seen.st_mode)
    if is_dir and not (wants_dir or path.endswith("/")):
        raise RainException(f"SliceDirectory: {path!r} is a directory; end the path with '/' to have it")
    if not is_dir and (wants_dir or path.endswith("/")):
        raise RainException(f"SliceDirectory: {path!r} is not a directory")
    if is_dir:
        target = _new_folder(work, 0, real)
        return [work.directory(target, work.plant(real, target, work.link))]
    return [_slice_file(work, real, seen.st_size)]


def _slice_file(work: Work, path: str, size: int) -> OutputResult:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size <= INLINE_BYTES_MAX:
            return work.blob(work.read(fd), size)
        target = work.intake.new_path(0, path)
        link_or_copy(path, target)
        return output_of(work.only_output(), local_file(target, checksum=checksum_fd(fd, size)))
    finally:
        os.close(fd)


_KINDS: dict[str, Callable[[Work], list[OutputResult]]] = {
    CONCAT: _concat,
    SLEEP: _sleep,
    LOAD: _load,
    LOAD_DIR: _load_dir,
    STORE: _store,
    MAKE_DIRECTORY: _make_directory,
    SLICE_DIRECTORY: _slice_directory,
}


# -- paths -------------------------------------------------------------------------------------------------


def _absolute(task: str, work: Work) -> str:
    path = read_config(work.spec.config, PathConfig).path
    if "\0" in path:
        raise RainException(f"{task}: the path {path!r} holds a zero byte")
    if not path.startswith("/"):
        raise RainException(f"{task}: the path {path!r} must be absolute: it is a path on the governor")
    return path


def _inner(task: str, path: str) -> list[str]:
    """The components of a path inside a directory; none for the directory itself."""
    if "\0" in path:
        raise RainException(f"{task}: the path {path!r} holds a zero byte")
    if path.startswith("/"):
        raise RainException(f"{task}: the path {path!r} must be relative: it is a path inside of the directory")
    short = posixpath.normpath(path) if path else "."
    parts = [] if short == "." else short.split("/")
    if ".." in path.split("/"):
        raise RainException(f"{task}: the path {path!r} leads out of the directory")
    return parts


def _folder_of(held: Held) -> str:
    """The real path of a directory object; when the store moves it to disk it leaves a link."""
    if isinstance(held.location, Inline):
        raise RainException("a directory's files are not in the store")
    return os.path.realpath(held.location.path)


def _new_folder(work: Work, size: int, near: str = "") -> str:
    path = work.intake.new_path(size, near)
    os.mkdir(path)
    return path


def _same_content(one: str, other: str) -> bool:
    """Whether two directories hold the same files, folders and links."""
    return not os.path.islink(other) and os.path.isdir(other) and same_tree(one, other, _same_bytes)


def _same_bytes(one: Entry, other: Entry) -> bool:
    if other.kind != "f" or one.stat.st_size != other.stat.st_size:
        return False
    return _checksum(one) == _checksum(other)


def _checksum(entry: Entry) -> int:
    fd = open_entry(entry)
    try:
        return checksum_fd(fd, entry.stat.st_size)
    finally:
        os.close(fd)


def _content(root: str, place: Sequence[str]) -> str:
    """What is in the deepest folder of `place` that exists, for a message."""
    inner = root
    for part in place:
        if not os.path.isdir(f"{inner}/{part}"):
            break
        inner = f"{inner}/{part}"
    names = sorted(os.listdir(inner))
    where = os.path.relpath(inner, root)
    listed = ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
    return f"{'it' if where == '.' else repr(where)} holds {listed or 'nothing'}"


def _explain(error: OSError, work: Work) -> str:
    name = {LOAD: "Load", LOAD_DIR: "LoadDir", STORE: "Store"}.get(work.spec.task_type, work.spec.task_type)
    path = error.filename2 or error.filename
    full = no_room(error, path or work.store.incoming_disk)
    if full is not None:
        return str(full)
    if isinstance(error, FileNotFoundError):
        return f"{name}: there is no {path} on the governor"
    return f"{name}: {path}: {error.strerror}" if path else f"{name}: {error.strerror or error}"
