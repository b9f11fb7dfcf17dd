"""What the first governor of a gang and a companion send each other: frames over TLS 1.3.

The one who connects knows the fingerprint of the companion's certificate and its key from the server; it sends the key
first, inside TLS. Then comes one `Launch`, and back come pieces of output and the exit status. The end of the
connection ends the program.
"""

from __future__ import annotations

import hmac
import socket
import ssl
import struct

import msgspec

from rain.common.errors import RainException
from rain.common.limits import LAUNCH_BYTES_MAX, LAUNCH_CONNECT_S
from rain.common.protocol.address import parse_address
from rain.common.protocol.messages import Node
from rain.net.auth import Certificate, connecting_context, fingerprint_of

OUT, ERR, EXIT = b"o", b"e", b"x"
KEY_BYTES = 32
_HEAD = struct.Struct("!cI")


class Launch(msgspec.Struct, array_like=True):
    """Start this program, with these variables beside the task's own."""

    args: list[str]
    env: dict[str, str]


def connect(node: Node) -> ssl.SSLSocket:
    """A connection to a companion.

    Raises
    ------
    RainException
        If it cannot be reached, or is another one.
    """
    try:
        plain = socket.create_connection(parse_address(node.address), LAUNCH_CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = connecting_context().wrap_socket(plain)
    except OSError as error:
        raise RainException(
            f"the companion of this task on governor {node.governor} cannot be reached: {error}"
        ) from None
    shown = secured.getpeercert(True)
    if shown is None or not hmac.compare_digest(fingerprint_of(shown), node.fingerprint):
        secured.close()
        raise RainException(f"what answers at {node.address} is not the companion of this task")
    try:
        secured.sendall(node.key)
    except OSError as error:
        secured.close()
        raise RainException(f"the companion on governor {node.governor} was lost: {error}") from None
    secured.settimeout(None)
    return secured


def accept(plain: socket.socket, certificate: Certificate, key: bytes) -> ssl.SSLSocket | None:
    """The server's side of `connect`; None if what connected has not the key."""
    plain.settimeout(LAUNCH_CONNECT_S)
    try:
        secured = certificate.context().wrap_socket(plain, server_side=True)
    except OSError:
        plain.close()
        return None
    if hmac.compare_digest(_exactly(secured, KEY_BYTES), key):
        secured.settimeout(None)
        return secured
    secured.close()
    return None


def send(link: ssl.SSLSocket, kind: bytes, data: bytes) -> None:
    """Send one frame.

    Raises
    ------
    RainException
        If it is larger than the other side takes.
    """
    if len(data) > LAUNCH_BYTES_MAX:
        raise RainException(f"a program's words and environment have {len(data)} bytes, over {LAUNCH_BYTES_MAX}")
    link.sendall(_HEAD.pack(kind, len(data)) + data)


def receive(link: ssl.SSLSocket) -> tuple[bytes, bytes]:
    """The next frame; an empty kind at the end."""
    head = _exactly(link, _HEAD.size)
    if len(head) < _HEAD.size:
        return b"", b""
    kind, size = _HEAD.unpack(head)
    if size > LAUNCH_BYTES_MAX:
        raise RainException(f"a frame of {size} bytes came; LAUNCH_BYTES_MAX is {LAUNCH_BYTES_MAX}")
    data = _exactly(link, size)
    return (kind, data) if len(data) == size else (b"", b"")


def _exactly(link: ssl.SSLSocket, count: int) -> bytes:
    """So many bytes; fewer at the end."""
    data = b""
    try:
        while len(data) < count and (more := link.recv(count - len(data))):
            data += more
    except OSError:
        pass
    return data
