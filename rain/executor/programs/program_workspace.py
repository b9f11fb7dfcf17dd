"""The folder a program runs in: inputs are laid out there before, outputs are picked up there afterwards.

Theory of operation
-------------------
Everything happens relative to the current directory, which is the executor's empty task folder.

Where mounts are possible (see `rain.executor.readonly`), a stored input is one: of the store's own file or directory.
The program cannot change it, nor remove it, nor add to such a directory. Elsewhere a file is cloned where the file
system can do that, copied if it is small, and otherwise a symbolic link to the store's read-only file.

A directory in which an output or another input lies has to be a real tree of folders: its files are cloned, copied or
links, as where there are no mounts, so that the program may add to it without touching the object. Where a writable
input is asked for, it is a copy.

After the program's end links take the places of mounts. An output is moved out of the folder by renaming where the file
system allows, read or copied where not. An output that turns out to be a whole input is not looked at: it is that
input's data. Links that lead out of an output directory are replaced by what they lead to, since the folder behind them
goes away.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import PROGRAM_COPY_BYTES_MAX
from rain.common.location import Inline, SameAs
from rain.common.protocol.messages import ExecutorInput, ExecutorSetup, OutputResult
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.task_configs import ExecuteConfig, MappedInput
from rain.executor.programs.mounts import Mounts
from rain.executor.readonly import ReadOnly
from rain.objects.dirtree import Entry, clone_file, copy_file, is_inside, is_within, read_only, same_tree, walk
from rain.objects.files import no_room
from rain.objects.intake import Folders, Intake, output_of
from rain.objects.lent_inputs import LentFile, damaged
from rain.objects.nameless_file import NamelessFile

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED_MAX = 10


class LentFiles:
    """Where inputs that came as bytes are written, out of reach of the program's write access.

    Parameters
    ----------
    folder : str
        Made when it is first needed.
    read_only : ReadOnly
    """

    def __init__(self, folder: str, read_only: ReadOnly) -> None:
        self.folder = folder
        self._read_only = read_only
        self._fd = -1
        self._names: list[str] = []

    @property
    def protected(self) -> bool:
        """Whether programs cannot write to the files, whatever their privileges."""
        self._open()
        return self._read_only.guards(f"{self.folder}/0")

    def _open(self) -> None:
        if self._fd < 0:
            os.makedirs(self.folder, exist_ok=True)
            os.chmod(self.folder, 0o755)
            # Opened before it becomes read-only: through this descriptor it stays writable for us.
            self._fd = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._read_only.protect(self.folder)

    def write(self, data: bytes) -> str:
        """The path of a new read-only file with these bytes."""
        self._open()
        name = str(len(self._names))
        self._names.append(name)
        _write_new(name, data, 0o444, self._fd)
        return f"{self.folder}/{name}"

    def clear(self) -> None:
        """Remove all files."""
        for name in self._names:
            try:
                os.unlink(name, dir_fd=self._fd)
            except OSError:
                pass
        self._names.clear()


class Workspace:
    """One task's use of the current directory.

    Parameters
    ----------
    setup : ExecutorSetup
    lent : LentFiles
    read_only : ReadOnly
    prefix : str
        What names of files in the store's incoming folder begin with; unique to the attempt.
    """

    def __init__(self, setup: ExecutorSetup, lent: LentFiles, read_only: ReadOnly, prefix: str) -> None:
        self._setup = setup
        self._lent = lent
        self._read_only = read_only
        self._prefix = prefix
        self._intake = Intake(Folders.of(setup), prefix)
        self._cwd = ""
        self._follow: frozenset[str] = frozenset()
        self._inputs: Sequence[ExecutorInput] = ()
        self._mapped: dict[str, MappedInput] = {}
        self._roots: dict[str, str] = {}  # where what is mapped to a path really lies
        self._mounts = Mounts()
        self._shared: frozenset[str] = frozenset()  # paths in which something else lies too
        self._copied: dict[str, tuple[int, int, int]] = {}  # inode, size and time of copies
        self._watched: list[LentFile] = []
        self._lenders = {lent.folder}

    # -- inputs -------------------------------------------------------------------------------------

    def map_inputs(self, config: ExecuteConfig, inputs: Sequence[ExecutorInput]) -> None:
        """Lay out the inputs.

        Raises
        ------
        RainException
            For a path that leaves the folder or is taken, and when the disk is full.
        """
        self._inputs = inputs
        self._shared = _shared_paths(config)
        for mapped in config.inputs:
            value = inputs[mapped.index]
            path = inner_path(mapped.path, "input")
            try:
                self._map(path, mapped, value)
            except OSError as error:
                text = f"input {_name(value.spec)} cannot be mapped to {mapped.path!r}: {error.strerror}"
                raise (no_room(error, os.path.abspath(path), value.info.size) or RainException(text)) from None
            self._mapped[path] = mapped
        self._mounts.enter(self._read_only.guards)

    def ended(self, config: ExecuteConfig) -> None:
        """The program has ended, or will not be started: undo what was only for it. Idempotent."""
        self._mounts.leave(keep=bool(config.outputs))

    @property
    def has_mounts(self) -> bool:
        """Whether there are inputs that the program can neither change nor remove."""
        return len(self._mounts) > 0

    def _map(self, path: str, mapped: MappedInput, value: ExecutorInput) -> None:
        parent = os.path.dirname(path)
        if parent:
            os.makedirs(parent, exist_ok=True)
        if value.spec.data_type == "dir":
            self._map_tree(path, mapped, value)
        elif isinstance(value.location, Inline) and (mapped.write or self._may_be_own(path)):
            _write_new(path, value.location.data, 0o644 if mapped.write else 0o444)
        elif mapped.write:
            copy_file(self._lend(value), path)
        else:
            root = self._roots[path] = self._lend(value)
            if self._can_mount(root, path):
                self._mounts.want(root, path, is_dir=False)
            else:
                self._show(root, path, value.spec.id)

    def _may_be_own(self, path: str) -> bool:
        """Whether a few bytes may be a file of the program's own: its mode keeps the program from writing to it."""
        return os.geteuid() != 0 or path in self._shared or not self._lent.protected

    def _can_mount(self, root: str, path: str) -> bool:
        return path not in self._shared and self._read_only.guards(root) and not self._mounts.full

    def _show(self, root: str, path: str, id: ID) -> None:
        """Let the program see the store's file `root` at `path`, without a mount."""
        copied = clone_file(root, path)
        if not copied and os.stat(root).st_size <= PROGRAM_COPY_BYTES_MAX:
            copy_file(root, path, 0o444)
            copied = True
        if not copied:
            self._watched.append(LentFile.of(id, root))
            os.symlink(root, path)
            return
        seen = os.stat(root)
        os.chmod(path, read_only(seen.st_mode))
        # No write ends with a time like this, so that one cannot be missed.
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns - 1))
        self._copied[path] = _identity(path)

    def _lend(self, value: ExecutorInput) -> str:
        """The path of a file with the blob's bytes that the program cannot write."""
        if isinstance(value.location, Inline):
            return self._lent.write(value.location.data)
        path = self._stored_at(value)
        self._borrow(path)
        if not os.stat(path).st_mode & stat.S_IROTH:
            self._read_only.release(os.path.dirname(path))
        self._watched.append(LentFile.of(value.spec.id, path))
        return path

    @staticmethod
    def _stored_at(value: ExecutorInput) -> str:
        """Where the store has it; when the store moves an object to disk it leaves a link."""
        if value.path is None:
            raise RainException(f"input {_name(value.spec)} is no longer in the store of its governor")
        return os.path.realpath(value.path) if os.path.islink(value.path) else value.path

    def _borrow(self, root: str) -> None:
        """Keep programs from writing to the object that lies at `root` in the store."""
        folder = os.path.dirname(root)
        self._lenders.add(folder)
        self._read_only.protect(folder)

    def open_input(self, value: ExecutorInput) -> int:
        """A descriptor for reading the blob's bytes."""
        if not isinstance(value.location, Inline):
            return os.open(self._lend(value), os.O_RDONLY | os.O_CLOEXEC)
        fd = os.memfd_create("input", os.MFD_CLOEXEC)
        os.write(fd, value.location.data)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _map_tree(self, path: str, mapped: MappedInput, value: ExecutorInput) -> None:
        root = self._roots[path] = self._stored_at(value)
        self._borrow(root)
        mounted = not mapped.write and not os.path.exists(path) and self._can_mount(root, path)
        if mounted and not self._read_only.hides(os.path.dirname(root)):
            self._mounts.want(root, path, is_dir=True)
            return
        entries = self._entries(root)
        if mounted and self._can_mount(root, path):  # no file there has to be shown in another way
            self._mounts.want(root, path, is_dir=True)
            return
        os.makedirs(path, exist_ok=True)
        id = value.spec.id
        for entry in entries:
            here = f"{path}/{entry.path}"
            there = f"{root}/{entry.path}"
            if entry.kind == "l":
                os.symlink(entry.target, here)
            elif entry.kind == "d":
                os.mkdir(here)
            elif mapped.write:
                copy_file(there, here, 0o755 if entry.stat.st_mode & 0o100 else 0o644)
            else:
                self._show(there, here, id)

    def _entries(self, root: str) -> list[Entry]:
        """All that is below `root`, folders before what is in them."""
        folder = os.path.dirname(root)
        try:
            return _readable(root, self._read_only.hides(folder))
        except PermissionError:
            if not self._read_only.release(folder):
                raise
            return _readable(root, False)

    def changed_inputs(self) -> dict[ID, str]:
        """The inputs that are not what they were when they were laid out (`damaged`)."""
        found = damaged(self._inputs)
        for lent in self._watched:
            problem = lent.problem()
            if problem:
                found.setdefault(lent.id, problem)
        return found

    def may_have_changed(self, ids: Iterable[ID]) -> bool:
        """Whether the program had write access to one of these inputs."""
        paths = {value.spec.id: value.path for value in self._inputs}
        return not all((path := paths[id]) is not None and self._read_only.guards(path) for id in ids)

    # -- outputs ------------------------------------------------------------------------------------

    def open_output(self) -> NamelessFile:
        """A file for what the program writes to stdout or stderr, to become an output."""
        return self._intake.nameless_file()

    def output_of(self, file: NamelessFile, spec: ObjectSpec) -> OutputResult:
        """What was written to `file`, as the output `spec`."""
        return output_of(spec, self._intake.took(file.finish()))

    def collect(self, config: ExecuteConfig, specs: Sequence[ObjectSpec]) -> Iterator[tuple[int, OutputResult]]:
        """The mapped outputs, with their numbers.

        Raises
        ------
        RainException
            For an output that is missing or of the wrong data type, and when the disk is full.
        """
        self._cwd = os.getcwd()
        # Links to inputs become those files: in the store, or where there are copies.
        inputs = [path for path, mapped in self._mapped.items() if not mapped.write]
        self._follow = frozenset(map(os.path.realpath, [*self._lenders, *inputs])) - {os.path.realpath(self._cwd)}
        paths = [inner_path(mapped.path, "output") for mapped in config.outputs]
        # What lies inside another output is taken first and left where it is.
        count = Counter(paths)
        for number in sorted(range(len(paths)), key=lambda number: -_length(paths[number])):
            path, mapped = paths[number], config.outputs[number]
            shared = count[path] > 1 or any(folder in count for folder in _above(path))
            spec = specs[mapped.index]
            try:
                yield mapped.index, self._collect(path, mapped.index, spec, keep=shared)
            except OSError as error:
                full = no_room(error, f"{self._setup.spill_dir}/{self._prefix}-{mapped.index}")
                text = f"output {_name(spec)} cannot be read from {path!r}: {error}"
                raise (full or RainException(text)) from None

    def _collect(self, path: str, index: int, spec: ObjectSpec, keep: bool) -> OutputResult:
        try:
            seen = os.stat(path)
        except FileNotFoundError:
            raise RainException(_missing(path, spec)) from None
        is_dir = stat.S_ISDIR(seen.st_mode)
        if is_dir != (spec.data_type == "dir") or not (is_dir or stat.S_ISREG(seen.st_mode)):
            wanted = "directory" if spec.data_type == "dir" else "file"
            raise RainException(f"output {_name(spec)} should be a {wanted}, but {path!r} is {_kind(seen.st_mode)}")
        same = self._whole_input(path, is_dir)
        if same is not None:
            return OutputResult(spec.id, ObjectInfo(size=same.info.size), SameAs(same.spec.id))
        real = os.path.realpath(path)
        here = os.path.realpath(self._cwd)
        if not is_within(real, here) and not is_inside(real, self._follow):
            link = _escaping(path, self._follow | {here})
            raise RainException(
                f"output {_name(spec)} is not taken: the link {link!r} leads to {os.readlink(link)!r}, which is not "
                "in the folder in which the program runs; copy what is there into the folder"
            )
        keep = keep or os.path.islink(path) or not is_within(real, here)
        if not is_dir:
            return output_of(spec, self._intake.take_file(real, keep=keep))
        lent = list(self._roots.values())
        try:
            return output_of(spec, self._intake.take_tree(real, keep=keep, follow=list(self._follow), lent=lent))
        except RainException as error:
            raise RainException(f"output {_name(spec)} cannot be taken: {error}") from None

    def _whole_input(self, path: str, is_dir: bool) -> ExecutorInput | None:
        """The input whose data `path` is, untouched."""
        mapped = self._mapped.get(path)
        if mapped is None or mapped.write:
            return None
        value = self._inputs[mapped.index]
        if is_dir:
            return value if self._same_tree(self._roots[path], path) else None
        return value if self._is_same(self._roots.get(path), path) else None

    def _is_same(self, root: str | None, path: str) -> bool:
        """Whether `path` still is what stands there for the store's file `root`."""
        if os.path.islink(path):
            return os.readlink(path) == root
        return path in self._copied and _identity(path) == self._copied[path]

    def _same_tree(self, root: str, path: str) -> bool:
        """Whether `path` still is what was laid out for the directory `root`."""
        if os.path.islink(path):
            return os.readlink(path) == root

        def same_file(one: Entry, other: Entry) -> bool:
            return self._is_same(f"{root}/{one.path}", f"{path}/{other.path}")

        return same_tree(root, path, same_file)

    def discard(self) -> None:
        """Remove the outputs that were brought to the store; the attempt failed."""
        self._intake.discard()


def read_tail(fd: int, length: int) -> tuple[bytes, int]:
    """The last `length` bytes of a file, and its size."""
    size = os.fstat(fd).st_size
    if not size:
        return b"", 0
    return os.pread(fd, length, max(0, size - length)), size


def inner_path(path: str, what: str) -> str:
    """`path` in its shortest form, seen to stay in the program's folder.

    Raises
    ------
    RainException
        If it does not.
    """
    short = os.path.normpath(path) if path else "."
    if short.startswith("/"):
        raise RainException(f"the {what} path {path!r} must be relative to the folder in which the program runs")
    if short == ".." or short.startswith("../"):
        raise RainException(f"the {what} path {path!r} leads out of the folder in which the program runs")
    if "\0" in short:
        raise RainException(f"the {what} path {path!r} holds a zero byte")
    return short


def _write_new(path: str, data: bytes, mode: int, dir_fd: int | None = None) -> None:
    fd = os.open(path, _NEW_FILE, mode, dir_fd=dir_fd)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _readable(root: str, by_others: bool) -> list[Entry]:
    """All that is below `root`; with `by_others` a file that others may not read is an error."""
    entries = list(walk(root, check_links=False))
    for entry in entries if by_others else ():
        if entry.kind == "f" and not entry.stat.st_mode & stat.S_IROTH:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"{root}/{entry.path}")
    return entries


def _identity(path: str) -> tuple[int, int, int]:
    seen = os.lstat(path)
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _shared_paths(config: ExecuteConfig) -> frozenset[str]:
    """Paths of inputs that are also paths of outputs, or in which there are outputs or other inputs, or which are in
    outputs."""
    inputs = [os.path.normpath(mapped.path or ".") for mapped in config.inputs]
    outputs = {os.path.normpath(mapped.path or ".") for mapped in config.outputs}
    shared = {"."}
    for path in {*inputs, *outputs}:
        shared.update(_above(path))
    shared.update(path for path in inputs if path in outputs or any(folder in outputs for folder in _above(path)))
    return frozenset(shared)


def _escaping(path: str, places: frozenset[str]) -> str:
    """The first link on the way along the relative `path` that leads out of all `places`."""
    parts = path.split("/")
    prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    outside = (
        prefix for prefix in prefixes if os.path.islink(prefix) and not is_inside(os.path.realpath(prefix), places)
    )
    return next(outside, path)


def _length(path: str) -> int:
    return 0 if path == "." else len(path)


def _above(path: str) -> Iterator[str]:
    """The folders on the way to the short relative `path`, the deepest first."""
    if path == "." or path.startswith("/"):  # nothing that is taken leads there
        return
    while path := os.path.dirname(path):
        yield path
    yield "."


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _name(spec: ObjectSpec) -> str:
    return f"{spec.label!r} ({spec.id})" if spec.label else str(spec.id)


def _missing(path: str, spec: ObjectSpec) -> str:
    if os.path.islink(path):
        return f"output {_name(spec)}: the link {path!r} leads to {os.readlink(path)!r}, where nothing is"
    folder = os.path.dirname(path) or "."
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "."
    names = sorted(os.listdir(folder))
    listed = ", ".join(map(repr, names[:_LISTED_MAX])) + (", …" if len(names) > _LISTED_MAX else "")
    where = "its folder" if folder == "." else f"{folder!r}"
    return f"the program made no file {path!r} for output {_name(spec)}; {where} holds {listed or 'nothing'}"
