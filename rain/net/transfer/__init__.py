"""Large objects over data connections: whole or in ranges, directories as tar streams, with bounded memory.

Theory of operation
-------------------
One request at a time. To `DataGet` or `DataList` the holder answers with `DataHeader`, the bytes as raw payloads of at
most `CHUNK_BYTES`, and `DataEnd` with the checksum of what it sent; or with `DataError`, also in the middle. A receiver
computes the checksum of what it got, so that nothing damaged on the way is taken. A holder that finds, at the end of a
whole object, that it sent something else than what was once stored, says so instead of `DataEnd`.

Every piece is read, hashed and written in a thread, into buffers that are used again; the loop only moves sockets. A
peer that moves nothing for `TRANSFER_STALL_S` is given up.
"""

from rain.net.transfer.exchange import TransferError, in_thread
from rain.net.transfer.getting import get_blob, get_buffer, get_directory, get_listing, get_to_file, get_view
from rain.net.transfer.giving import pass_on, relay, serve_get, serve_view
from rain.net.transfer.putting import put_file, put_pieces, serve_put

__all__ = [
    "TransferError",
    "get_blob",
    "get_buffer",
    "get_directory",
    "get_listing",
    "get_to_file",
    "get_view",
    "in_thread",
    "pass_on",
    "put_file",
    "put_pieces",
    "relay",
    "serve_get",
    "serve_put",
    "serve_view",
]
