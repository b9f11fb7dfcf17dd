"""`NamelessFile`: what a process of the user's writes, which gets a name in the store's folders only if it is large."""

from __future__ import annotations

import os

from rain.common.limits import CHUNK_BYTES, INLINE_BYTES_MAX
from rain.common.location import Stored
from rain.objects.files import checksum_fd, inline, local_file

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NamelessFile:
    """A file for reading and writing.

    Parameters
    ----------
    path : str
        What it is called if it is large.
    spill_path : str
        And if the file system of `path` is full, or has only files with names.

    Attributes
    ----------
    fd : int
    """

    def __init__(self, path: str, spill_path: str) -> None:
        self._path = path
        self._has_name = False
        try:
            room = os.statvfs(os.path.dirname(path))
            if room.f_bavail * room.f_frsize < CHUNK_BYTES:
                self._path = spill_path
            self.fd = os.open(os.path.dirname(self._path), os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        except OSError:
            self._path, self._has_name = spill_path, True
            self.fd = os.open(spill_path, _NEW_FILE, 0o600)

    def finish(self) -> Stored:
        """What was written."""
        size = os.fstat(self.fd).st_size
        if size <= INLINE_BYTES_MAX:
            data = os.pread(self.fd, size, 0)
            self.discard()
            return inline(data)
        os.fchmod(self.fd, 0o444)
        digest = checksum_fd(self.fd, size)
        if not self._has_name:
            # A descriptor of a folder makes Python use linkat, which follows the link in /proc.
            os.link(f"/proc/self/fd/{self.fd}", self._path, src_dir_fd=self.fd)
        os.close(self.fd)
        self.fd = -1
        return local_file(self._path, checksum=digest)

    def discard(self) -> None:
        """Forget the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            if self._has_name:
                os.unlink(self._path)
