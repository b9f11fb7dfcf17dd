"""Readers: the bytes of a finished object, wherever they are.

Theory of operation
-------------------
An `ObjectReader` needs one method, ``_read(offset, length)``; all others have defaults made of it, which a reader
overrides where its bytes allow something faster. A further place for bytes (the memory of a GPU, an object store) is
one more class.

=================== ==================================================
`BytesReader`       in memory
`FileReader`        a file of a store on this host
`TreeReader`        a directory of a store on this host
`TarReader`         a directory as a tar archive that another reader reads
`PartReader`        a part of what another reader reads: a file in an archive
`RemoteReader`      at a governor or server elsewhere
`ReceivedReader`    in memory that came over the network
=================== ==================================================

Files are opened and mapped when they are first needed. A store may meanwhile have moved a file, or dropped it: inode,
size and time are compared before it is used, and ``relocate`` is asked for another reader where they differ.

``buffer(writable=True)`` gives memory of the caller's own, but no copy: a copy-on-write mapping of the file, or the
buffer in which the bytes came. Where that cannot be the memory is read-only, and a warning says why.

Directories are looked into where they lie: `entries` and `file` move what is asked for and nothing else. Links inside
are followed as long as they stay inside; nothing outside is ever opened.

`open_nearest` chooses the reader of an object; `try_replicas` is the loop over its replicas.
"""

from rain.objects.readers.blobs import BytesReader, FileReader, PartReader, ReceivedReader
from rain.objects.readers.directories import TarReader, TreeReader
from rain.objects.readers.entries import Entry, NotInside
from rain.objects.readers.nearest import NoReplica, open_nearest, reader_of, try_replicas
from rain.objects.readers.reader import ObjectReader
from rain.objects.readers.remote import RemoteBytes, RemoteReader

__all__ = [
    "BytesReader",
    "Entry",
    "FileReader",
    "NoReplica",
    "NotInside",
    "ObjectReader",
    "PartReader",
    "ReceivedReader",
    "RemoteBytes",
    "RemoteReader",
    "TarReader",
    "TreeReader",
    "open_nearest",
    "reader_of",
    "try_replicas",
]
