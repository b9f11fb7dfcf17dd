"""Files mapped into memory: read-only or copy-on-write, and without keeping a descriptor.

Theory of operation
-------------------
A writable mapping is private (``MAP_PRIVATE``): it shares the file's pages until one is written, and then copies that
page, for this mapping alone. The kernel is asked to reserve nothing ahead (``MAP_NORESERVE``), so that
mapping more than there is memory is not refused by its guess; nothing is ever populated ahead, which would copy all.

Where the kernel refuses a private mapping (it counts as memory of the process: strict overcommit, ``RLIMIT_DATA``) the
file is mapped read-only, and a `RainWarning` says why. Only where nothing more can be mapped are the bytes copied,
which a warning says too. A process may have ``vm.max_map_count`` mappings; at that number even the heap cannot grow, so
files leave `SPARE_MAPPINGS_COUNT` of them to the rest of the process.

``mmap.mmap`` keeps a duplicate of the file's descriptor for as long as the mapping lives (until Python 3.13 always), of
which a process may have 1,024; a mapping does not need it. So the C library is asked directly here.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import warnings
from typing import Any

from rain.common.errors import RainWarning, ResourceError
from rain.common.limits import MIB, SPARE_MAPPINGS_COUNT
from rain.host.lacking.unix import resource

_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # which Python 3.11 has no name for
_MAP_FAILED = ctypes.c_void_p(-1).value
_SIZE_MAX = 1 << 46  # half of what a process can address
_COPY_BYTES = 8 * MIB

why_read_only = ""
"""Why the value that this process has loaded last as read-only is so, as a clause; for the error of writing to it."""

_libc = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap = _libc.mmap, _libc.munmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


_own_bytes = [0]
_count = [0]


class _Mapping(ctypes.c_ubyte * _SIZE_MAX):  # type: ignore[misc]
    """Memory from the address of a mapping on. One type for all sizes, since each type costs more than a mapping; only
    a slice of the right size is ever given out, which keeps this alive."""

    size = 0
    own = False

    # What it needs are its defaults: at the end of the process the module's names may be gone before the last array is.
    def __del__(
        self,
        munmap: Any = _munmap,
        addressof: Any = ctypes.addressof,
        own_bytes: list[int] = _own_bytes,
        count: list[int] = _count,
    ) -> None:
        if self.size:
            munmap(addressof(self), self.size)
            count[0] -= 1
            own_bytes[0] -= self.size if self.own else 0


def own_bytes() -> int:
    """Bytes that this process has mapped copy-on-write, written or not."""
    return _own_bytes[0]


def _mapped(fd: int, size: int, own: bool) -> memoryview:
    protection, flags = mmap.PROT_READ, mmap.MAP_SHARED
    if own:
        protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _MAP_NORESERVE
    address = _mmap(None, size, protection, flags, fd, 0)
    if address == _MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    mapping = _Mapping.from_address(address)
    mapping.size = size
    _count[0] += 1
    if own:
        mapping.own = True
        _own_bytes[0] += size
    view = memoryview(mapping).cast("B")[:size]
    return view if own else view.toreadonly()


def map_fd(fd: int, size: int, writable: bool = False) -> memoryview:
    """The file's bytes, mapped; `fd` may be closed at once.

    Parameters
    ----------
    fd : int
        Of a regular file, open for reading.
    size : int
        Bytes.
    writable : bool
        Whether the memory may be written: copy-on-write, so that neither the file nor another mapping changes. Where
        the system refuses such mappings the memory is read-only, and a `RainWarning` says why.

    Raises
    ------
    ResourceError
        If it can be neither mapped nor copied; names the limit.
    OSError
        If it cannot be mapped for another reason.
    """
    if size == 0:
        return memoryview(bytearray() if writable else b"")
    if _count[0] >= _count_max() and _count[0] >= _count_max(renew=True):
        return _copied(fd, size, writable, _too_many(f"{_count[0]} files mapped"))
    refused = ""
    if writable:
        try:
            return _mapped(fd, size, own=True)
        except OSError as error:
            if error.errno not in (errno.ENOMEM, errno.EAGAIN):
                raise
            refused = why_refused(size)
    try:
        view = _mapped(fd, size, own=False)
    except OSError as error:
        if error.errno not in (errno.ENOMEM, errno.EAGAIN):
            raise
        return _copied(fd, size, writable, why_refused(size, writable=False))
    if refused:
        warn_read_only(f"the system refuses a copy-on-write mapping of {size} bytes ({refused})")
    return view


def warn_read_only(reason: str) -> None:
    """Warn that what is loaded cannot be written, and why: NumPy's error does not know."""
    global why_read_only
    why_read_only = reason
    warnings.warn(
        f"loaded arrays are read-only, because {reason}; copy those that are to be changed (array.copy())",
        RainWarning,
        stacklevel=2,
    )


def _copied(fd: int, size: int, writable: bool, reason: str) -> memoryview:
    try:
        data = memoryview(bytearray(size))
    except MemoryError:
        raise ResourceError(f"{size} bytes can be neither mapped into memory nor copied: {reason}") from None
    done = 0
    while done < size:
        count = os.preadv(fd, [data[done : done + _COPY_BYTES]], done)
        if not count:
            raise OSError(errno.EIO, "the file is shorter than it was")
        done += count
    warnings.warn(
        f"{size} bytes were copied because they cannot be mapped into memory: {reason}", RainWarning, stacklevel=2
    )
    return data if writable else data.toreadonly()


def _count_max(renew: bool = False) -> int:
    """How many files may be mapped at once."""
    global _most
    if not _most or renew:
        _most = max(1, (_number("/proc/sys/vm/max_map_count") or 1 << 30) - SPARE_MAPPINGS_COUNT)
    return _most


_most = 0


def _too_many(what: str) -> str:
    most = _number("/proc/sys/vm/max_map_count")
    return (
        f"this process has {what}, and vm.max_map_count is {most}: let some results go, or ask for a higher one "
        "(sysctl vm.max_map_count)"
    )


# -- why not -----------------------------------------------------------------------------------------


def why_refused(size: int, writable: bool = True) -> str:
    """The limit because of which the kernel has just refused to map `size` bytes, as a clause with what to do."""
    maps_max = _number("/proc/sys/vm/max_map_count")
    if maps_max and (count := _count_maps()) >= maps_max - 2:
        return _too_many(f"{count} mappings")
    used = own_sizes()
    for limit, name, counted in (
        (resource.RLIMIT_AS, "RLIMIT_AS (ulimit -v)", used.get("VmSize", 0)),
        (resource.RLIMIT_DATA, "RLIMIT_DATA (ulimit -d)", used.get("VmData", 0)),
    ):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and counted + size > soft and (writable or limit == resource.RLIMIT_AS):
            return f"{name} is {soft} bytes, of which {counted} are used"
    if writable and _number("/proc/sys/vm/overcommit_memory") == 2:
        return "vm.overcommit_memory is 2, which counts every page that might be written, and too little memory is left"
    return "the kernel says that it has not enough memory"


def _number(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _count_maps() -> int:
    try:
        with open("/proc/self/maps", "rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0


def own_sizes() -> dict[str, int]:
    """Sizes of this process in bytes, by the kernel's names: ``VmRSS``, ``VmData``; none where it does not tell."""
    try:
        with open("/proc/self/status") as file:
            fields = (line.split() for line in file)
            return {words[0][:-1]: int(words[1]) << 10 for words in fields if words[-1:] == ["kB"]}
    except OSError:
        return {}


def written_pages(pid: int, folders: tuple[str, ...]) -> int:
    """Bytes of files in `folders` that a process has mapped copy-on-write and has written to; 0 if it cannot be seen.

    Takes as long as the kernel needs to walk the process's memory.
    """
    total, inside = 0, False
    try:
        with open(f"/proc/{pid}/smaps", errors="surrogateescape") as file:
            for line in file:
                if line.startswith("Anonymous:"):
                    total += (int(line.split()[1]) << 10) if inside else 0
                elif "-" in line[:17]:  # addresses, permissions, offset, device, inode, path
                    path = line.split(maxsplit=5)[5:]
                    inside = bool(path) and path[0].startswith(folders)
    except OSError:
        return 0
    return total
