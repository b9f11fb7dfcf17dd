"""What kind of file system a file lies on: memory, or another host's disk."""

from __future__ import annotations

import ctypes

_IN_MEMORY = frozenset({0x01021994, 0x858458F6})  # tmpfs, ramfs
_ON_ANOTHER_HOST = frozenset(
    {
        0x6969,  # NFS
        0xFF534D42, 0xFE534D42, 0x517B,  # CIFS, SMB2, SMB
        0x65735546,  # FUSE: sshfs, GlusterFS, and others that cannot be told apart
        0x00C36400, 0x0BD00BD0, 0x47504653, 0x5346414F, 0x19830326, 0x6B414653,  # Ceph, Lustre, GPFS, AFS, BeeGFS, kAFS
        0x01021997, 0x20030528, 0x7461636F, 0x73757245,  # 9P, OrangeFS, OCFS2, Coda
    }
)  # fmt: skip
"""From ``linux/magic.h`` and the file systems' own sources."""

_libc = ctypes.CDLL(None, use_errno=True)


def _kind(file: int) -> int:
    """The number by which the kernel calls the file system of a descriptor; -1 if it does not tell."""
    status = ctypes.create_string_buffer(256)
    if _libc.fstatfs(file, status):
        return -1
    return int.from_bytes(status.raw[: ctypes.sizeof(ctypes.c_long)], "little") & 0xFFFF_FFFF


def is_memory(file: int) -> bool:
    """Whether a file lies in memory, where room that is set aside is memory that is taken."""
    return _kind(file) in _IN_MEMORY


def may_be_remote(file: int) -> bool:
    """Whether another host may remove a file while it is mapped here, so that pages of it cannot be read any more."""
    return _kind(file) in _ON_ANOTHER_HOST
