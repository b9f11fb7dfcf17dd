"""Directories as tar streams and back, without trusting either.

Theory of operation
-------------------
`pack` walks a directory over directory descriptors, in the order of names, and yields a GNU tar stream that depends on
names, contents and executable bits only. `Unpacker` is fed such a stream (or one that another tool wrote) in any
pieces and builds the tree below a directory that it makes itself. `TarIndex` finds files in an archive without
unpacking it.

Nothing is ever written outside of that directory: every component is opened relative to the descriptor of its parent
with ``O_NOFOLLOW``, files are made with ``O_EXCL``, and symbolic links are made last, when no more file is written, and
only if following them, through other links too, stays inside. Hard links become copies. Refused are absolute names,
``..``, devices, pipes, sockets, sparse files, setuid and setgid, a name that comes twice, links that lead outside, and
whatever is over one of the `Limits`.
"""

from rain.objects.archive.headers import ArchiveError
from rain.objects.archive.index import TarIndex
from rain.objects.archive.packing import pack, packed_size
from rain.objects.archive.unpacking import Unpacker, unpack
from rain.objects.dirtree import Limits

__all__ = ["ArchiveError", "Limits", "TarIndex", "Unpacker", "pack", "packed_size", "unpack"]
